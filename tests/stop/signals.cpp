// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>

#include <doctest/doctest.h>

#include <mirakuru/concepts.hpp>
#include <mirakuru/stop/signals.hpp>

#include "schedule.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::walk;

static_assert(mk::SignalStrategy<mk::Signals>);

TEST_CASE("Signals: SIGTERM stops and SIGKILL kills by default") {
  const mk::Signals signals;
  CHECK(signals.stop == SIGTERM);
  CHECK(signals.kill == SIGKILL);
  CHECK(signals.accept.empty());
}

TEST_CASE("Signals: the stop signal is the only step, and it waits for ever") {
  const auto steps = mk::Signals{.stop = SIGINT, .kill = SIGQUIT}.steps();
  REQUIRE(steps.size() == 1);
  CHECK(steps[0].signal == SIGINT);
  CHECK(steps[0].wait == std::chrono::nanoseconds::max());
}

TEST_CASE("Signals: the stop signal comes at once, SIGKILL at the end of the budget") {
  CHECK(walk(mk::Signals{}.steps(), 10s) == "15@0 9@10000 over@20000");
  CHECK(walk(mk::Signals{.stop = SIGQUIT}.steps(), 1500ms) == "3@0 9@1500 over@11500");
  // The signal that kill() sends does not replace SIGKILL.
  CHECK(walk(mk::Signals{.stop = SIGINT, .kill = SIGQUIT}.steps(), 1s) == "2@0 9@1000 over@11000");
}
