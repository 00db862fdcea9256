// SPDX-License-Identifier: BSL-1.0
#include <chrono>

#include <doctest/doctest.h>

#include <mirakuru/budget/backoff.hpp>

using namespace std::chrono_literals;
using mirakuru::detail::attempt_limit;
using mirakuru::detail::pause_after;
using mirakuru::detail::pause_for_event;
using std::chrono::nanoseconds;

static_assert(pause_after(1s) > 0s);
static_assert(pause_for_event(1s) > 0s);
static_assert(attempt_limit(1s) == 2s);

TEST_CASE("pause_after: a sixty-fourth of the time waited, within its bounds [difference 13]") {
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

TEST_CASE("pause_after: a pause never shrinks, and is at most 1/64 of the start-up") {
  nanoseconds before{};
  for (nanoseconds waited = 0s; waited < 20s; waited += 7ms) {
    const auto pause = pause_after(waited);
    CAPTURE(waited.count());
    REQUIRE(pause >= before);
    if (waited >= 32ms) REQUIRE(pause * 64 <= waited);
    before = pause;
  }
}

TEST_CASE("pause_after: the attempts grow with the logarithm of the time waited") {
  int attempts = 0, in_first_second = 0;
  for (nanoseconds waited = 0s; waited < 16s; waited += pause_after(waited), ++attempts)
    if (waited < 1s) ++in_first_second;
  CHECK(in_first_second < 300);
  CHECK(attempts < 500);
  CHECK(attempts > in_first_second);
}

TEST_CASE("pause_for_event: half of the time waited, within 20 ms and 1 s") {
  CHECK(pause_for_event(0s) == 20ms);
  CHECK(pause_for_event(40ms) == 20ms);
  CHECK(pause_for_event(100ms) == 50ms);
  CHECK(pause_for_event(2s) == 1s);
  CHECK(pause_for_event(nanoseconds::max()) == 1s);
  CHECK(pause_for_event(-1s) == 20ms);
}

TEST_CASE("attempt_limit: one second plus the time waited") {
  CHECK(attempt_limit(0s) == 1s);
  CHECK(attempt_limit(1ms) == 1001ms);
  CHECK(attempt_limit(30s) == 31s);
  CHECK(attempt_limit(1h) == 1h + 1s);
}
