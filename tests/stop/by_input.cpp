// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <stdexcept>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
#include "process.hpp"
#include "time.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;

TEST_CASE_TEMPLATE("StopByInput: the end of the input comes first", Spawner, mk::GuardedSpawner,
                   mk::DirectSpawner) {
  mk::Executor cat{"cat", mk::StopByInput{}, in_time, Spawner{}};
  cat.start().stop();
  CHECK(cat.exit_code() == 0);
}

TEST_CASE_TEMPLATE("StopByInput: the signals follow within the budget", Spawner, mk::GuardedSpawner,
                   mk::DirectSpawner) {
  mk::Executor deaf{"sleep 300", mk::StopByInput{.wait = 100ms}, in_time, Spawner{}};
  const test::Elapsed elapsed;
  deaf.start().stop();
  CHECK(deaf.exit_code() == -SIGTERM);
  CHECK(elapsed >= 100ms);
  CHECK(elapsed < 5s);

  // Without a wait of its own, half of the budget; SIGKILL at its end.
  mk::Executor stubborn{mk::Shell{"trap '' TERM; echo up; while :; do sleep 0.1; done"},
                        mk::BannerCheck{"up"}, mk::StopByInput{}, Spawner{},
                        mk::TimeoutBudget{.start = 30s, .stop = 400ms}};
  stubborn.start();
  const test::Elapsed stop;
  stubborn.stop();
  CHECK(stubborn.exit_code() == -SIGKILL);
  CHECK(stop >= 400ms);
  CHECK(stop < 5s);
}

TEST_CASE("StopByInput: kill() is as ever, and a negative wait is refused") {
  mk::Executor cat{"cat", mk::StopByInput{}, in_time};
  cat.start().kill();
  CHECK(cat.exit_code() == -SIGKILL);
  CHECK_THROWS_AS((mk::Executor{"cat", mk::StopByInput{.wait = -1s}}), std::invalid_argument);
}
