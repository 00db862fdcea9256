// SPDX-License-Identifier: BSL-1.0
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "files.hpp"
#include "process.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

namespace {

/// Zombies count, too, and children that no plain wait() finds.
bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 || errno != ECHILD ||
         !test::children_of(::getpid()).empty();
}

}  // namespace

TEST_CASE("Executor: ten thousand cycles leave nothing in memory, processes or files") {
  constexpr int warm_up = 100, cycles = test::sanitized ? 300 : 10'000;
  const auto mark = "mark=cycles-" + std::to_string(::getpid()) + '-';
  const test::TempDir directory;
  REQUIRE(::setenv("TMPDIR", directory.path().c_str(), 1) == 0);
  const auto fds = test::open_fds();
  REQUIRE_FALSE(has_children());

  long resident = 0;
  int done = 0, well = 0;
  {
    mk::SimpleExecutor executor{{test::helper(), "sleep", "60000", mark}};
    for (; done < cycles; ++done) {
      if (done == warm_up) resident = test::resident_bytes() / 1024;
      executor.start().stop();
      well += executor.exit_code() == -SIGTERM;
    }
    resident = test::resident_bytes() / 1024 - resident;
  }

  CHECK(done == cycles);
  CHECK(well == done);
  CHECK(test::open_fds() == fds);
  CHECK_FALSE(has_children());
  CHECK(test::processes_matching(mark) == 0);
  CHECK(std::filesystem::is_empty(directory.path()));
  if (!test::sanitized) CHECK(resident < 1024);
}
