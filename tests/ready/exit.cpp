// SPDX-License-Identifier: BSL-1.0
#include <chrono>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
#include "time.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;
using test::message_of;

TEST_CASE("ExitCheck: the end of all of the tree with 0") {
  mk::Executor task{mk::Shell{"sleep 0.05 & exit 0"}, mk::ExitCheck{}, in_time};
  const test::Elapsed elapsed;
  task.start();
  CHECK(elapsed >= 40ms);
  CHECK(task.exit_code() == 0);
  CHECK_FALSE(task.running());
  mk::Executor failing{mk::Shell{"exit 3"}, mk::ExitCheck{}, in_time};
  CHECK(message_of<mk::ProcessExitedWithError>([&] {
          failing.start();
        }).starts_with("exited with a non-zero code: 3 before it was ready\n"));
  mk::Executor slow{"sleep 300", mk::ExitCheck{}, mk::TimeoutBudget{.start = 50ms}};
  CHECK_THROWS_AS(slow.start(), mk::TimeoutExpired);
}
