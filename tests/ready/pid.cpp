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

TEST_CASE("scenario 40: a file that appears") {
  const test::TempDir directory;
  const auto file = directory / "pid";
  mk::PidExecutor executor{{test::helper(), "touch", file, "delay=100"},
                           mk::PidCheck{file},
                           mk::TimeoutBudget{.start = 5s}};
  CHECK(executor.start().running());
  CHECK(executor.command().find("touch " + file) != std::string::npos);
}

TEST_CASE("scenario 41: a file without a name") {
  CHECK_THROWS_AS(static_cast<void>(mk::PidCheck{""}), std::invalid_argument);
}

TEST_CASE("scenario 42: the file is not there before, and is inside") {
  const test::TempDir directory;
  const auto file = directory / "pid";
  CHECK_FALSE(test::exists(file));
  auto executor =
      mk::PidExecutor{{test::helper(), "touch", file, "delay=50"}, mk::PidCheck{file}}.start();
  CHECK(test::exists(file));
}

TEST_CASE("scenario 43: a file that comes too late") {
  const test::TempDir directory;
  const auto file = directory / "pid";
  mk::PidExecutor executor{{test::helper(), "touch", file, "delay=30000"},
                           mk::PidCheck{file},
                           mk::TimeoutBudget{.start = 200ms}};
  CHECK_THROWS_AS(executor.start(), mk::TimeoutExpired);
  CHECK_FALSE(executor.running());
}

TEST_CASE("scenario 44, defect 4: a file that is there already") {
  const test::TempDir directory;
  const auto file = directory / "pid";
  mk::PidExecutor first{{test::helper(), "pidfile", file},
                        mk::PidCheck{.path = file, .alive = true}};
  first.start();
  mk::PidExecutor second{"sleep 300", mk::PidCheck{file}};
  const auto message = [&] {
    try {
      second.start();
    } catch (const mk::AlreadyRunning& error) {
      return std::string{error.what()};
    }
    return std::string{"started"};
  };
  CHECK(message() == "the pid file " + file + " is there, of pid " + std::to_string(first.pid()) +
                         " (" + test::helper() + " pidfile " + file +
                         "): it seems to be already running\n  command: sleep 300");
  const auto dead = first.pid();
  first.stop();
  CHECK(message() == "the pid file " + file + " is there, of process " + std::to_string(dead) +
                         ", which is not alive: it seems to be already running\n"
                         "  command: sleep 300");
}

TEST_CASE("a file in a directory that is made later") {
  const test::TempDir directory;
  const auto file = directory / "a/b/pid";
  mk::PidExecutor executor{mk::Shell{"sleep 0.1; mkdir -p " + (directory / "a/b") +
                                     "; sleep 0.1; echo $$ > " + file + "; exec sleep 300"},
                           mk::PidCheck{.path = file, .alive = true},
                           mk::TimeoutBudget{.start = 10s}};
  CHECK(executor.start().running());
}

TEST_CASE("the process in the file must be alive, if that is asked for") {
  const test::TempDir directory;
  const auto file = directory / "pid";
  const auto reason = [&](const std::string& content) {
    mk::PidExecutor executor{{test::helper(), "touch", file, "content=" + content},
                             mk::PidCheck{.path = file, .alive = true},
                             mk::TimeoutBudget{.start = 200ms}};
    std::string message = "started";
    try {
      executor.start();
    } catch (const mk::TimeoutExpired& error) {
      message = error.what();
      message = message.substr(message.find("last answer: "));
    }
    ::unlink(file.c_str());
    return message;
  };
  CHECK(reason(std::to_string(::getpid()) + "\\n") == "started");
  CHECK(reason("").starts_with("last answer: it holds no process id"));
  CHECK(reason("0\\n").starts_with("last answer: it holds no process id"));
  CHECK(reason("-5\\n").starts_with("last answer: it holds no process id"));
  CHECK(reason("12x\\n").starts_with("last answer: it holds no process id"));
  CHECK(reason("99999999\\n").starts_with("last answer: there is no process 99999999"));
}

TEST_CASE("a directory is no pid file") {
  const test::TempDir directory;
  mk::PidExecutor executor{"sleep 300", mk::PidCheck{directory.path()},
                           mk::TimeoutBudget{.start = 50ms}};
  CHECK_THROWS_AS(executor.start(), mk::TimeoutExpired);
}
