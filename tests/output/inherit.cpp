// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <unistd.h>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "files.hpp"

namespace mk = mirakuru;

TEST_CASE("Inherit: output goes to the streams of the test") {
  const test::TempDir directory;
  const auto file = directory / "mine";
  const int kept = ::dup(STDERR_FILENO);
  const int mine = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ::dup2(mine, STDERR_FILENO);
  mk::Executor executor{mk::Shell{"echo said >&2"}, mk::Inherit{}};
  executor.start().wait();
  ::dup2(kept, STDERR_FILENO);
  ::close(kept);
  ::close(mine);
  CHECK(test::slurp(file) == "said\n");
}
