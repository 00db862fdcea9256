// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <stdexcept>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
#include "time.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;
using test::message_of;

TEST_CASE("StableFor: ready all the time, and looked at often") {
  int looks = 0;
  // A busy machine may miss looks.
  for (auto span = 160ms; span < 5s && looks < 5; span *= 2) {
    looks = 0;
    mk::Executor service{
        "sleep 300", mk::StableFor{span, [&](const mk::Process&) { return ++looks > 0; }}, in_time};
    const test::Elapsed elapsed;
    service.start();
    CHECK(elapsed >= span);
    CHECK(elapsed < span + 5s);
  }
  CHECK(looks >= 5);
}

TEST_CASE("StableFor: a look that is not ready begins the span anew") {
  int looks = 0;
  test::Elapsed since;
  mk::Executor service{"sleep 300",
                       mk::StableFor{80ms,
                                     [&](const mk::Process&) {
                                       if (++looks == 2) since.restart();
                                       return looks != 2;
                                     }},
                       in_time};
  service.start();
  CHECK(since >= 80ms);
  CHECK(looks > 3);
}

TEST_CASE("StableFor: the timeline has rows for the arms of its check") {
  mk::Executor service{mk::Shell{"echo ready; exec sleep 300"},
                       mk::StableFor{10ms, mk::AnyOf{mk::BannerCheck{"ready"}, mk::ExitCheck{}}},
                       in_time};
  service.start();
  const auto& arms = service.timeline().checks.at(0).arms;
  REQUIRE(arms.size() == 2);
  CHECK(arms[0].passed != mk::TimePoint{});
}

TEST_CASE("StableFor: the message tells how far it came, and the end ends it") {
  mk::Executor slow{"sleep 300", mk::StableFor{10s, [](const mk::Process&) { return true; }},
                    mk::TimeoutBudget{.start = 150ms}};
  const auto message = message_of<mk::TimeoutExpired>([&] { slow.start(); });
  CHECK(message.find("a predicate, for 10 s, for ") != message.npos);
  CHECK(message.find("\n  last answer: ready for ") != message.npos);
  mk::Executor ends{"sleep 0.1", mk::StableFor{10s, [](const mk::Process&) { return true; }},
                    in_time};
  const test::Elapsed elapsed;
  CHECK_THROWS_AS(ends.start(), mk::ProcessExitedWithError);
  CHECK(elapsed < 5s);
  CHECK_THROWS_AS((mk::StableFor{-1s, mk::ExitCheck{}}), std::invalid_argument);
}
