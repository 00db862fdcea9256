// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <chrono>
#include <csignal>

#include <doctest/doctest.h>

#include <mirakuru/stop/schedule.hpp>

#include "schedule.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::SignalSchedule;
using test::stop_begin;
using test::walk;

namespace {

constexpr auto ever = std::chrono::nanoseconds::max();

/// A single step, and two steps.
constexpr std::array terminate{mk::SignalStep{SIGTERM, ever}};
constexpr std::array two_steps{mk::SignalStep{SIGINT, 2s}, mk::SignalStep{SIGTERM, 5s}};

}  // namespace

TEST_CASE("SignalSchedule: each step has its own wait, then SIGKILL follows") {
  CHECK(walk({{SIGINT, 2s}, {SIGTERM, 5s}}, 10s) == "2@0 15@2000 9@7000 over@17000");
  CHECK(walk({{SIGINT, 2s}}, 10s) == "2@0 9@2000 over@12000");
  CHECK(walk({{SIGINT, 1s}, {SIGINT, 1s}, {SIGINT, 1s}}, 10s) ==
        "2@0 2@1000 2@2000 9@3000 over@13000");
  CHECK(walk({{SIGTERM, 1ms}, {SIGINT, 1ms}, {SIGQUIT, 1ms}}, 10s) ==
        "15@0 2@1 3@2 9@3 over@10003");
  CHECK(walk({}, 10s) == "9@0 over@10000");
}

TEST_CASE("SignalSchedule: a step without a wait and SIGKILL as a step are ordinary") {
  CHECK(walk({{SIGCONT, 0s}, {SIGTERM, 5s}}, 10s) == "18@0 15@0 9@5000 over@15000");
  CHECK(walk({{SIGTERM, 0s}}, 10s) == "15@0 9@0 over@10000");
  CHECK(walk({{SIGKILL, 3s}}, 10s) == "9@0 9@3000 over@13000");
}

TEST_CASE("SignalSchedule: all steps together last no longer than the budget") {
  const std::array steps{mk::SignalStep{SIGINT, 2s}, mk::SignalStep{SIGTERM, 5s},
                         mk::SignalStep{SIGQUIT, 1s}};
  CHECK(walk(steps, 8s) == "2@0 15@2000 3@7000 9@8000 over@18000");
  CHECK(walk(steps, 7500ms) == "2@0 15@2000 3@7000 9@7500 over@17500");
  // A step that would begin at the end of the budget is left out.
  CHECK(walk(steps, 7s) == "2@0 15@2000 9@7000 over@17000");
  CHECK(walk(steps, 7s + 1ns) == "2@0 15@2000 3@7000 9@7000 over@17000");
  CHECK(walk(steps, 3s) == "2@0 15@2000 9@3000 over@13000");
  CHECK(walk(steps, 2s) == "2@0 9@2000 over@12000");
  CHECK(walk(steps, 1s) == "2@0 9@1000 over@11000");
  CHECK(walk(steps, 0s) == "9@0 over@10000");
}

TEST_CASE("SignalSchedule: the budget ends a step that waits for ever") {
  CHECK(walk({{SIGINT, 1s}, {SIGTERM, ever}, {SIGQUIT, 1s}}, 10s) ==
        "2@0 15@1000 9@10000 over@20000");
  CHECK(walk({{SIGINT, ever}, {SIGTERM, ever}}, ever) == "2@0 9@never over@never");
}

TEST_CASE("SignalSchedule: each signal is due once, not before its time") {
  SignalSchedule schedule{terminate, 10s, stop_begin};
  CHECK(schedule.next() == stop_begin);
  CHECK(schedule.due(stop_begin - 1ns).signal == 0);
  CHECK(schedule.due(stop_begin).signal == SIGTERM);
  CHECK(schedule.due(stop_begin).signal == 0);
  CHECK(schedule.next() == stop_begin + 10s);
  CHECK(schedule.due(stop_begin + 10s - 1ns).signal == 0);
  CHECK(schedule.due(stop_begin + 10s).signal == SIGKILL);
  CHECK(schedule.due(stop_begin + 10s).signal == 0);
  CHECK(schedule.due(stop_begin + 1h).signal == 0);
}

TEST_CASE("SignalSchedule: overdue signals come at once, one by one and in order") {
  SignalSchedule schedule{two_steps, 10s, stop_begin};
  const auto late = stop_begin + 2500ms;
  CHECK(schedule.due(late).signal == SIGINT);
  CHECK(schedule.due(late).signal == SIGTERM);
  CHECK(schedule.due(late).signal == 0);
  CHECK(schedule.next() == stop_begin + 7s);
}

TEST_CASE("SignalSchedule: it is over when SIGKILL was sent and its grace has passed") {
  SignalSchedule schedule{terminate, 10s, stop_begin};
  CHECK(schedule.due(stop_begin).signal == SIGTERM);
  CHECK_FALSE(schedule.over(stop_begin + 1h));  // SIGKILL was not sent
  CHECK(schedule.due(stop_begin + 10s).signal == SIGKILL);
  CHECK(SignalSchedule::grace >= 1s);
  CHECK(schedule.next() == stop_begin + 10s + SignalSchedule::grace);
  CHECK_FALSE(schedule.over(stop_begin + 10s));
  CHECK_FALSE(schedule.over(schedule.next() - 1ns));
  CHECK(schedule.over(schedule.next()));
  CHECK(schedule.over(schedule.next() + 1h));
}

TEST_CASE("SignalSchedule: the grace begins when SIGKILL is sent, however late") {
  SignalSchedule schedule{terminate, 10s, stop_begin};
  CHECK(schedule.due(stop_begin).signal == SIGTERM);
  const auto late = stop_begin + 5min;
  CHECK(schedule.due(late).signal == SIGKILL);
  CHECK_FALSE(schedule.over(late));
  CHECK(schedule.next() == late + SignalSchedule::grace);
  CHECK(schedule.over(late + SignalSchedule::grace));
}

TEST_CASE("SignalSchedule: hurry() drops the steps that are left and makes SIGKILL due") {
  SignalSchedule before{terminate, 10s, stop_begin};
  before.hurry(stop_begin);
  CHECK(walk(before) == "9@0 over@10000");

  SignalSchedule between{two_steps, 10s, stop_begin};
  CHECK(between.due(stop_begin).signal == SIGINT);
  between.hurry(stop_begin + 1s);
  CHECK(between.next() == stop_begin + 1s);
  CHECK(walk(between, stop_begin + 1s) == "9@1000 over@11000");
}

TEST_CASE("SignalSchedule: hurry() after SIGKILL changes nothing") {
  SignalSchedule schedule{terminate, 1s, stop_begin};
  CHECK(schedule.due(stop_begin).signal == SIGTERM);
  CHECK(schedule.due(stop_begin + 1s).signal == SIGKILL);
  schedule.hurry(stop_begin + 2s);
  CHECK(schedule.due(stop_begin + 2s).signal == 0);
  CHECK(schedule.next() == stop_begin + 1s + SignalSchedule::grace);
}
