// SPDX-License-Identifier: BSL-1.0
#include <sys/resource.h>
#include <unistd.h>
#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "files.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

static_assert(mk::Executor<mk::DirectSpawner>::guarantee() == mk::Guarantee::group_only);

TEST_CASE("DirectSpawner: the process leads its own session") {
  const test::TempDir directory;
  mk::Executor<mk::DirectSpawner>{{test::helper(), "inspect", directory / "seen"}}.start().wait();
  auto seen = test::read_inspect(directory / "seen");
  CHECK(seen["sid"] == seen["pid"]);
  CHECK(seen["pgid"] == seen["pid"]);
  CHECK(seen["ppid"] == std::to_string(::getpid()));
}

TEST_CASE("DirectSpawner: with pidfd_open the owner sleeps until the exit") {
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  mk::Executor<mk::DirectSpawner>{{test::helper(), "exit", "0", "after=300"}}.start().wait();
  ::getrusage(RUSAGE_SELF, &after);
  CHECK(after.ru_nvcsw - before.ru_nvcsw < 20);
}

TEST_CASE("DirectSpawner: zombies of the group do not delay the stop") {
  // The leader never waits for its child, and then becomes a sleep.
  mk::Executor executor{mk::Shell{"sleep 0.01 & exec sleep 300"}, mk::DirectSpawner{},
                        [](const mk::Process& process) {
                          for (const auto pid : test::children_of(process.pid()))
                            if (!test::alive(pid)) return true;
                          return false;
                        }};
  executor.start();
  const test::Elapsed elapsed;
  executor.stop();
  CHECK(elapsed < 5s);
}
