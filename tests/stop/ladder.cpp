// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/concepts.hpp>
#include <mirakuru/stop/ladder.hpp>
#include <mirakuru/stop/schedule.hpp>

#include "schedule.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::SignalSchedule;
using test::stop_begin;
using test::walk;

static_assert(mk::SignalStrategy<mk::SignalLadder>);
// A ladder without a step would be one by mistake.
static_assert(!std::is_default_constructible_v<mk::SignalLadder>);

TEST_CASE("a ladder keeps its steps") {
  const mk::SignalLadder ladder{{SIGINT, 2s}, {SIGTERM, 5s}};
  REQUIRE(ladder.steps().size() == 2);
  CHECK(ladder.steps()[0].signal == SIGINT);
  CHECK(ladder.steps()[0].wait == 2s);
  CHECK(ladder.steps()[1].signal == SIGTERM);
  CHECK(ladder.steps()[1].wait == 5s);
  CHECK(ladder.kill == SIGKILL);
  CHECK(ladder.accept.empty());
}

TEST_CASE("each step waits for its own time, then SIGKILL follows") {
  const auto steps = [](std::initializer_list<mk::SignalStep> list) {
    return mk::SignalLadder{list}.steps();
  };
  CHECK(walk(steps({{SIGINT, 2s}, {SIGTERM, 5s}}), 10s) == "2@0 15@2000 9@7000 over@17000");
  CHECK(walk(steps({{SIGINT, 2s}}), 10s) == "2@0 9@2000 over@12000");
  CHECK(walk(steps({{SIGINT, 1s}, {SIGINT, 1s}, {SIGINT, 1s}}), 10s) ==
        "2@0 2@1000 2@2000 9@3000 over@13000");
  CHECK(walk(steps({{SIGTERM, 1ms}, {SIGINT, 1ms}, {SIGQUIT, 1ms}}), 10s) ==
        "15@0 2@1 3@2 9@3 over@10003");
  // A step without a wait, and SIGKILL as a step.
  CHECK(walk(steps({{SIGCONT, 0s}, {SIGTERM, 5s}}), 10s) == "18@0 15@0 9@5000 over@15000");
  CHECK(walk(steps({{SIGTERM, 0s}}), 10s) == "15@0 9@0 over@10000");
  CHECK(walk(steps({{SIGKILL, 3s}}), 10s) == "9@0 9@3000 over@13000");
}

TEST_CASE("all steps together last no longer than the budget") {
  const auto steps = mk::SignalLadder{{SIGINT, 2s}, {SIGTERM, 5s}, {SIGQUIT, 1s}}.steps();
  CHECK(walk(steps, 8s) == "2@0 15@2000 3@7000 9@8000 over@18000");
  CHECK(walk(steps, 7500ms) == "2@0 15@2000 3@7000 9@7500 over@17500");
  // A step that would begin with the budget's end is left out.
  CHECK(walk(steps, 7s) == "2@0 15@2000 9@7000 over@17000");
  CHECK(walk(steps, 7s + 1ns) == "2@0 15@2000 3@7000 9@7000 over@17000");
  CHECK(walk(steps, 3s) == "2@0 15@2000 9@3000 over@13000");
  CHECK(walk(steps, 2s) == "2@0 9@2000 over@12000");
  CHECK(walk(steps, 1s) == "2@0 9@1000 over@11000");
  CHECK(walk(steps, 0s) == "9@0 over@10000");
}

TEST_CASE("a step that waits for ever is ended by the budget") {
  constexpr auto ever = std::chrono::nanoseconds::max();
  CHECK(walk(mk::SignalLadder{{SIGINT, 1s}, {SIGTERM, ever}, {SIGQUIT, 1s}}.steps(), 10s) ==
        "2@0 15@1000 9@10000 over@20000");
  CHECK(walk(mk::SignalLadder{{SIGINT, ever}, {SIGTERM, ever}}.steps(), ever) ==
        "2@0 9@never over@never");
}

TEST_CASE("what is overdue comes at once, in order and one by one") {
  SignalSchedule schedule{mk::SignalLadder{{SIGINT, 2s}, {SIGTERM, 5s}}.steps(), 10s, stop_begin};
  const auto late = stop_begin + 2500ms;
  CHECK(schedule.due(late) == SIGINT);
  CHECK(schedule.due(late) == SIGTERM);
  CHECK(schedule.due(late) == 0);
  CHECK(schedule.next() == stop_begin + 7s);
}

TEST_CASE("a hurry leaves out the steps that are not due yet") {
  SignalSchedule schedule{mk::SignalLadder{{SIGINT, 2s}, {SIGTERM, 5s}}.steps(), 10s, stop_begin};
  CHECK(schedule.due(stop_begin) == SIGINT);
  schedule.hurry(stop_begin + 1s);
  CHECK(walk(schedule, stop_begin + 1s) == "9@1000 over@11000");
}
