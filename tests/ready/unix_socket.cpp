// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>
#include <chrono>
#include <fstream>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "support.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

TEST_CASE("scenario 48: a socket that listens after a while") {
  const test::TempDir directory;
  const auto path = directory / "socket";
  mk::UnixSocketExecutor executor{{test::helper(), "unix", path, "delay=200"},
                                  mk::UnixSocketCheck{path},
                                  mk::TimeoutBudget{.start = 5s}};
  const test::Elapsed elapsed;
  executor.start();
  CHECK(elapsed >= 200ms);
  CHECK(executor.running());
  CHECK(mk::UnixSocketCheck{path}.held());
}

TEST_CASE("scenario 49: bound and not listening is not ready") {
  const test::TempDir directory;
  const auto path = directory / "socket";
  mk::UnixSocketExecutor executor{{test::helper(), "unix", path, "nolisten"},
                                  mk::UnixSocketCheck{path},
                                  mk::TimeoutBudget{.start = 300ms}};
  try {
    executor.start();
    FAIL("start() returned");
  } catch (const mk::TimeoutExpired& error) {
    const std::string message = error.what();
    CHECK(message.find("waited for: a connection to " + path) != std::string::npos);
    CHECK(message.find("last answer: connection refused") != std::string::npos);
  }
  CHECK(test::exists(path));
  CHECK_FALSE(executor.running());
}

TEST_CASE("an abstract socket") {
  const auto name = "@mirakuru-test-" + std::to_string(::getpid());
  mk::UnixSocketExecutor executor{{test::helper(), "unix", name, "delay=50"},
                                  mk::UnixSocketCheck{name}};
  CHECK(executor.start().running());
}

TEST_CASE("a socket in a directory that is made later") {
  const test::TempDir directory;
  const auto path = directory / "a/b/socket";
  mk::UnixSocketExecutor executor{mk::Shell{"sleep 0.1; mkdir -p " + (directory / "a/b") +
                                            "; exec " + test::helper() + " unix " + path},
                                  mk::UnixSocketCheck{path}, mk::TimeoutBudget{.start = 10s}};
  CHECK(executor.start().running());
}

TEST_CASE("a stale socket file is not somebody running") {
  const test::TempDir directory;
  const auto path = directory / "socket";
  mk::UnixSocketExecutor first{{test::helper(), "unix", path}, mk::UnixSocketCheck{path}};
  first.start().kill();
  REQUIRE(test::exists(path));
  mk::UnixSocketExecutor second{{test::helper(), "unix", path}, mk::UnixSocketCheck{path}};
  CHECK(second.start().running());
}

TEST_CASE("a socket that answers is somebody running, who is named") {
  const test::TempDir directory;
  const auto path = directory / "socket";
  mk::UnixSocketExecutor first{{test::helper(), "unix", path}, mk::UnixSocketCheck{path}};
  first.start();
  mk::UnixSocketExecutor second{"sleep 300", mk::UnixSocketCheck{path}};
  try {
    second.start();
    FAIL("start() returned");
  } catch (const mk::AlreadyRunning& error) {
    CHECK(std::string{error.what()} == path + " answers, held by pid " +
                                           std::to_string(first.pid()) + " (" + test::helper() +
                                           " unix " + path +
                                           "): it seems to be already running\n"
                                           "  command: sleep 300");
  }
}

TEST_CASE("the path's limit is checked in the constructor") {
  CHECK_THROWS_AS(static_cast<void>(mk::UnixSocketCheck{""}), std::invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(mk::UnixSocketCheck{"@"}), std::invalid_argument);
  CHECK_NOTHROW(static_cast<void>(mk::UnixSocketCheck{std::string(107, 'x')}));
  CHECK_THROWS_AS(static_cast<void>(mk::UnixSocketCheck{std::string(108, 'x')}),
                  std::invalid_argument);
  CHECK_NOTHROW(static_cast<void>(mk::UnixSocketCheck{'@' + std::string(107, 'x')}));
  CHECK_THROWS_AS(static_cast<void>(mk::UnixSocketCheck{'@' + std::string(108, 'x')}),
                  std::invalid_argument);
}
