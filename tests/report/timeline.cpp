// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <cstddef>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

TEST_CASE("Timeline: the moments of a start are in order, and attempts are counted") {
  int asked = 0;
  const auto before = std::chrono::steady_clock::now();
  mk::Executor executor{
      {test::helper(), "print", "up"},
      [&](const mk::Process& process) { return ++asked >= 3 && !process.output().empty(); },
      mk::BannerCheck{"up"}};
  CHECK(executor.timeline().checks.empty());
  executor.start();
  const auto after = std::chrono::steady_clock::now();
  const auto& times = executor.timeline();
  REQUIRE(times.checks.size() == 2);
  CHECK(asked >= 3);
  CHECK(times.checks[0].attempts == static_cast<std::size_t>(asked));
  CHECK(times.checks[1].attempts == 1);
  CHECK(before <= times.spawned);
  CHECK(times.spawned <= times.checks[0].first_tried);
  CHECK(times.checks[0].first_tried < times.checks[0].passed);
  CHECK(times.checks[0].passed <= times.checks[1].first_tried);
  CHECK(times.checks[1].first_tried <= times.checks[1].passed);
  CHECK(times.checks[1].passed <= times.ready);
  CHECK(times.ready <= after);

  const auto spawned = times.spawned;
  executor.start();  // it runs already: nothing changes
  CHECK(executor.timeline().spawned == spawned);
  asked = 0;
  executor.stop().start();
  CHECK(executor.timeline().spawned > spawned);
  CHECK(executor.timeline().checks[0].attempts == static_cast<std::size_t>(asked));
}

TEST_CASE("Timeline: a failed start has the moments until the failure") {
  mk::Timeline times;
  const auto is_whole = [&] { return times.checks.size() == 2 && times.checks[1].attempts > 1; };
  for (auto budget = 100ms; budget < 10s && !is_whole(); budget *= 2) {  // a machine may be busy
    mk::Executor executor{{test::helper(), "print", "up"},
                          mk::BannerCheck{"up"},
                          [](const mk::Process&) { return false; },
                          mk::TimeoutBudget{.start = budget}};
    CHECK_THROWS_AS(executor.start(), mk::TimeoutExpired);
    times = executor.timeline();
  }
  REQUIRE(times.checks.size() == 2);
  CHECK(times.checks[0].passed > times.spawned);
  CHECK(times.checks[1].attempts > 1);
  CHECK(times.checks[1].passed == std::chrono::steady_clock::time_point{});
  CHECK(times.ready == std::chrono::steady_clock::time_point{});
}
