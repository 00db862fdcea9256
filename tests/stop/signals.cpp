// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>

#include <doctest/doctest.h>

#include <mirakuru/concepts.hpp>
#include <mirakuru/stop/schedule.hpp>
#include <mirakuru/stop/signals.hpp>

#include "schedule.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::SignalSchedule;
using test::stop_begin;
using test::walk;

static_assert(mk::SignalStrategy<mk::Signals>);

TEST_CASE("the defaults are those of a service manager") {
  const mk::Signals signals;
  CHECK(signals.stop == SIGTERM);
  CHECK(signals.kill == SIGKILL);
  CHECK(signals.accept.empty());
}

TEST_CASE("the stop signal is the only step, for as long as there is") {
  const auto steps = mk::Signals{.stop = SIGINT, .kill = SIGQUIT}.steps();
  REQUIRE(steps.size() == 1);
  CHECK(steps[0].signal == SIGINT);
  CHECK(steps[0].wait == std::chrono::nanoseconds::max());
}

TEST_CASE("the stop signal comes at once, SIGKILL at the end of the budget") {
  CHECK(walk(mk::Signals{}.steps(), 10s) == "15@0 9@10000 over@20000");
  CHECK(walk(mk::Signals{.stop = SIGQUIT}.steps(), 1500ms) == "3@0 9@1500 over@11500");
  // What kill() sends does not take SIGKILL's place.
  CHECK(walk(mk::Signals{.stop = SIGINT, .kill = SIGQUIT}.steps(), 1s) == "2@0 9@1000 over@11000");
}

TEST_CASE("a signal is sent once, and when it is due") {
  SignalSchedule schedule{mk::Signals{}.steps(), 10s, stop_begin};
  CHECK(schedule.next() == stop_begin);
  CHECK(schedule.due(stop_begin - 1ns) == 0);
  CHECK(schedule.due(stop_begin) == SIGTERM);
  CHECK(schedule.due(stop_begin) == 0);
  CHECK(schedule.next() == stop_begin + 10s);
  CHECK(schedule.due(stop_begin + 10s - 1ns) == 0);
  CHECK(schedule.due(stop_begin + 10s) == SIGKILL);
  CHECK(schedule.due(stop_begin + 10s) == 0);
  CHECK(schedule.due(stop_begin + 1h) == 0);
}

TEST_CASE("SIGKILL is given its time") {
  SignalSchedule schedule{mk::Signals{}.steps(), 10s, stop_begin};
  CHECK(schedule.due(stop_begin) == SIGTERM);
  CHECK_FALSE(schedule.over(stop_begin + 1h));  // it has not been sent
  CHECK(schedule.due(stop_begin + 10s) == SIGKILL);
  CHECK(SignalSchedule::grace >= 1s);
  CHECK(schedule.next() == stop_begin + 10s + SignalSchedule::grace);
  CHECK_FALSE(schedule.over(stop_begin + 10s));
  CHECK_FALSE(schedule.over(schedule.next() - 1ns));
  CHECK(schedule.over(schedule.next()));
  CHECK(schedule.over(schedule.next() + 1h));
}

TEST_CASE("SIGKILL is given its time also when it was sent late") {
  SignalSchedule schedule{mk::Signals{}.steps(), 10s, stop_begin};
  CHECK(schedule.due(stop_begin) == SIGTERM);
  const auto late = stop_begin + 5min;
  CHECK(schedule.due(late) == SIGKILL);
  CHECK_FALSE(schedule.over(late));
  CHECK(schedule.next() == late + SignalSchedule::grace);
  CHECK(schedule.over(late + SignalSchedule::grace));
}

TEST_CASE("in a hurry SIGKILL is due at once") {
  SignalSchedule before{mk::Signals{}.steps(), 10s, stop_begin};
  before.hurry(stop_begin);
  CHECK(walk(before) == "9@0 over@10000");

  SignalSchedule between{mk::Signals{}.steps(), 10s, stop_begin};
  CHECK(between.due(stop_begin) == SIGTERM);
  between.hurry(stop_begin + 3s);
  CHECK(between.next() == stop_begin + 3s);
  CHECK(walk(between, stop_begin + 3s) == "9@3000 over@13000");
}

TEST_CASE("a hurry neither repeats SIGKILL nor gives it more time") {
  SignalSchedule schedule{mk::Signals{}.steps(), 1s, stop_begin};
  CHECK(schedule.due(stop_begin) == SIGTERM);
  CHECK(schedule.due(stop_begin + 1s) == SIGKILL);
  schedule.hurry(stop_begin + 2s);
  CHECK(schedule.due(stop_begin + 2s) == 0);
  CHECK(schedule.next() == stop_begin + 1s + SignalSchedule::grace);
}
