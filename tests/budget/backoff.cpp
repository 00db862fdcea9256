// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <limits>

#include <doctest/doctest.h>

#include <mirakuru/budget/backoff.hpp>

using namespace std::chrono_literals;
using mirakuru::detail::after;
using mirakuru::detail::attempt_limit;
using mirakuru::detail::Clock;
using mirakuru::detail::pause_after;
using std::chrono::nanoseconds;

static_assert(Clock::is_steady);
static_assert(pause_after(1s) > 0s, "all of it can be used at compile time");
static_assert(attempt_limit(1s) == 2s);
static_assert(after(Clock::time_point{1s}, 1s) == Clock::time_point{2s});

TEST_CASE("a pause is a sixty-fourth of the time waited, within its bounds") {
  CHECK(pause_after(0s) == 500us);
  CHECK(pause_after(1ms) == 500us);
  CHECK(pause_after(32ms) == 500us);
  CHECK(pause_after(64ms) == 1ms);
  CHECK(pause_after(640ms) == 10ms);
  CHECK(pause_after(450ms, 45) == 10ms);
  CHECK(pause_after(6400ms) == 100ms);
  CHECK(pause_after(16s) == 250ms);
  CHECK(pause_after(16s + 64ms) == 250ms);
  CHECK(pause_after(1h) == 250ms);
  CHECK(pause_after(nanoseconds::max()) == 250ms);
  CHECK(pause_after(-1s) == 500us);
}

TEST_CASE("a pause never shrinks, and costs little of the start-up") {
  nanoseconds before{};
  for (nanoseconds waited = 0s; waited < 20s; waited += 7ms) {
    const auto pause = pause_after(waited);
    CAPTURE(waited.count());
    REQUIRE(pause >= before);
    if (waited >= 32ms) REQUIRE(pause * 64 <= waited);
    before = pause;
  }
}

TEST_CASE("the looks grow with the logarithm of the time waited") {
  int looks = 0, looks_of_a_second = 0;
  for (nanoseconds waited = 0s; waited < 16s; waited += pause_after(waited), ++looks)
    if (waited < 1s) ++looks_of_a_second;
  CHECK(looks_of_a_second < 300);
  CHECK(looks < 500);
  CHECK(looks > looks_of_a_second);
}

TEST_CASE("an attempt has a second, and as much again as has been waited") {
  CHECK(attempt_limit(0s) == 1s);
  CHECK(attempt_limit(1ms) == 1001ms);
  CHECK(attempt_limit(30s) == 31s);
  CHECK(attempt_limit(1h) == 1h + 1s);
}

TEST_CASE("a span is added to a time point") {
  const Clock::time_point begin{100h};
  CHECK(after(begin, 0s) == begin);
  CHECK(after(begin, 1ns) == begin + 1ns);
  CHECK(after(begin, 1h) == begin + 1h);
  CHECK(after(begin, -1h) == begin - 1h);
}

TEST_CASE("the end of time is as far as it goes") {
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
