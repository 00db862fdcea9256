// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <chrono>
#include <csignal>

#include <doctest/doctest.h>

#include <mirakuru/budget/timeout.hpp>
#include <mirakuru/concepts.hpp>
#include <mirakuru/stop/schedule.hpp>

#include "schedule.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::SignalSchedule;
using test::stop_begin;
using test::walk;

static_assert(mk::Budget<mk::TimeoutBudget>);

namespace {

constexpr mk::SignalStep ladder[] = {{SIGINT, 2s}, {SIGTERM, 5s}};

}  // namespace

TEST_CASE("TimeoutBudget: the defaults are an hour to start and ten seconds to stop") {
  const mk::TimeoutBudget budget;
  CHECK(budget.start == 1h);
  CHECK(budget.stop == 10s);
}

TEST_CASE("TimeoutBudget: one of the two can be given, in any unit") {
  const mk::TimeoutBudget start{.start = 90s};
  CHECK(start.start == 90s);
  CHECK(start.stop == 10s);
  const mk::TimeoutBudget stop{.stop = 1500us};
  CHECK(stop.start == 1h);
  CHECK(stop.stop == 1'500'000ns);
}

TEST_CASE("TimeoutBudget: a stop ends in SIGKILL, however long the steps wait") {
  CHECK(walk(ladder, mk::TimeoutBudget{}.stop) == "2@0 15@2000 9@7000 over@17000");
  CHECK(walk(ladder, mk::TimeoutBudget{.stop = 3s}.stop) == "2@0 15@2000 9@3000 over@13000");
  CHECK(walk(ladder, mk::TimeoutBudget{.stop = 1ms}.stop) == "2@0 9@1 over@10001");
}

TEST_CASE("TimeoutBudget: a stop budget of zero is SIGKILL alone") {
  CHECK(walk(ladder, 0s) == "9@0 over@10000");
  SignalSchedule schedule{ladder, 0s, stop_begin};
  CHECK(schedule.due(stop_begin - 1ns).signal == 0);
  CHECK(schedule.due(stop_begin).signal == SIGKILL);
}

TEST_CASE("TimeoutBudget: a negative stop budget counts as zero") {
  SignalSchedule schedule{ladder, -5s, stop_begin};
  CHECK(schedule.due(stop_begin).signal == SIGKILL);
  CHECK(schedule.due(stop_begin).signal == 0);
  CHECK_FALSE(schedule.over(stop_begin));
}

TEST_CASE("TimeoutBudget: a stop without steps is SIGKILL at once") {
  CHECK(walk({}, 10s) == "9@0 over@10000");
}

TEST_CASE("TimeoutBudget: a stop budget without end does not overflow") {
  constexpr auto ever = std::chrono::nanoseconds::max();
  CHECK(walk({{SIGTERM, ever}}, ever) == "15@0 9@never over@never");
  CHECK(walk({{SIGTERM, ever}}, ever - 1ns) == "15@0 9@never over@never");
  CHECK(walk({{SIGINT, 2s}, {SIGTERM, ever - 1s}}, ever) == "2@0 15@2000 9@never over@never");
  CHECK(walk(ladder, ever) == "2@0 15@2000 9@7000 over@17000");

  SignalSchedule schedule{std::array{mk::SignalStep{SIGTERM, ever}}, ever, stop_begin};
  CHECK(schedule.due(stop_begin).signal == SIGTERM);
  CHECK(schedule.next() == test::TimePoint::max());
  CHECK(schedule.due(stop_begin + 24h * 365).signal == 0);
  CHECK_FALSE(schedule.over(stop_begin + 24h * 365));
  schedule.hurry(stop_begin + 1s);
  CHECK(walk(schedule, stop_begin + 1s) == "9@1000 over@11000");
}

TEST_CASE("TimeoutBudget: a budget near the end of time leaves no room for the grace") {
  const auto almost = test::TimePoint::max() - stop_begin - 1s;
  const std::array steps{mk::SignalStep{SIGTERM, std::chrono::nanoseconds::max()}};
  SignalSchedule schedule{steps, almost, stop_begin};
  CHECK(schedule.due(stop_begin).signal == SIGTERM);
  CHECK(schedule.next() == stop_begin + almost);
  CHECK(schedule.due(schedule.next()).signal == SIGKILL);
  CHECK(schedule.next() == test::TimePoint::max());
}
