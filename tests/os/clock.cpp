// SPDX-License-Identifier: BSL-1.0
#include <chrono>

#include <doctest/doctest.h>

#include <mirakuru/os/clock.hpp>

using namespace std::chrono_literals;
using mirakuru::detail::after;
using mirakuru::detail::Clock;
using std::chrono::nanoseconds;

static_assert(Clock::is_steady);
static_assert(after(Clock::time_point{1s}, 1s) == Clock::time_point{2s});

TEST_CASE("after: a span is added to a time") {
  const Clock::time_point begin{100h};
  CHECK(after(begin, 0s) == begin);
  CHECK(after(begin, 1ns) == begin + 1ns);
  CHECK(after(begin, 1h) == begin + 1h);
  CHECK(after(begin, -1h) == begin - 1h);
}

TEST_CASE("after: a sum that would overflow is the end of time") {
  constexpr auto end = Clock::time_point::max();
  const Clock::time_point begin{100h};
  CHECK(after(begin, nanoseconds::max()) == end);
  CHECK(after(begin, end - begin) == end);
  CHECK(after(begin, end - begin + 1ns) == end);
  CHECK(after(begin, end - begin - 1ns) == end - 1ns);
  CHECK(after(end, 0s) == end);
  CHECK(after(end, 1ns) == end);
  CHECK(after(end, nanoseconds::max()) == end);
  CHECK(after(end, -1ns) == end - 1ns);
  CHECK(after(Clock::time_point{}, nanoseconds::max()) == end);
}
