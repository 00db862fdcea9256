// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <initializer_list>
#include <stdexcept>
#include <type_traits>

#include <doctest/doctest.h>

#include <mirakuru/concepts.hpp>
#include <mirakuru/stop/ladder.hpp>

#include "schedule.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::walk;

static_assert(mk::SignalStrategy<mk::SignalLadder>);
// A ladder without a step would be a mistake.
static_assert(!std::is_default_constructible_v<mk::SignalLadder>);

TEST_CASE("SignalLadder: it keeps its steps") {
  const mk::SignalLadder ladder{{SIGINT, 2s}, {SIGTERM, 5s}};
  REQUIRE(ladder.steps().size() == 2);
  CHECK(ladder.steps()[0].signal == SIGINT);
  CHECK(ladder.steps()[0].wait == 2s);
  CHECK(ladder.steps()[1].signal == SIGTERM);
  CHECK(ladder.steps()[1].wait == 5s);
  CHECK(ladder.kill == SIGKILL);
  CHECK(ladder.accept.empty());
}

TEST_CASE("SignalLadder: a ladder without a step is refused") {
  const std::initializer_list<mk::SignalStep> none{};
  CHECK_THROWS_WITH_AS(static_cast<void>(mk::SignalLadder(none)), "a signal ladder without a step",
                       std::invalid_argument);
}

TEST_CASE("SignalLadder: its steps come in turn, then SIGKILL") {
  const mk::SignalLadder ladder{{SIGINT, 2s}, {SIGTERM, 5s}};
  CHECK(walk(ladder.steps(), 10s) == "2@0 15@2000 9@7000 over@17000");
  CHECK(walk(ladder.steps(), 3s) == "2@0 15@2000 9@3000 over@13000");
}
