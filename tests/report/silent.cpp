// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <mirakuru.hpp>

namespace mk = mirakuru;

static_assert(!mk::Silent::wants_steps());

TEST_CASE("Silent: it takes the place of the default reporter") {
  mk::Executor executor{"sleep 300", mk::Silent{}};
  static_assert(sizeof executor == sizeof(mk::SimpleExecutor));
  CHECK(executor.start().running());
  executor.kill();
  CHECK(executor.exit_code() == -9);
}
