// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <fstream>
#include <string>

#include "files.hpp"

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
#include "time.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;
using test::message_of;

namespace {

void check_ready(const std::string& line, const std::string& path, std::size_t times = 1) {
  INFO(line);
  mk::Executor service{mk::Shell{line + "; exec sleep 300"},
                       mk::LogFileCheck{.path = path, .pattern = "^ready$", .times = times},
                       in_time};
  CHECK(service.start().running());
}

}  // namespace

TEST_CASE("LogFileCheck: a line of the file, which may come later, be rotated or cut") {
  const test::TempDir directory;
  const auto log = directory / "a/log";
  check_ready("mkdir " + (directory / "a") + "; sleep 0.05; echo ready > " + log, log);
  check_ready("echo ready >> " + log, log);
  check_ready(
      "echo other >> " + log + "; mv " + log + ' ' + log + ".1; sleep 0.05; echo ready > " + log,
      log);
  check_ready(
      "echo other >> " + log + "; sleep 0.05; : > " + log + "; sleep 0.05; echo ready >> " + log,
      log);
  check_ready("echo ready >> " + log + "; echo other >> " + log + "; echo ready >> " + log, log, 2);
}

TEST_CASE("LogFileCheck: a file that is written anew, and is longer than before") {
  const test::TempDir directory;
  const auto log = directory / "log";
  std::ofstream{log} << "older\n";
  // Before the first look, and while the check follows the file.
  check_ready("printf 'ready\nand more\n' > " + log, log);
  check_ready("sleep 0.05; printf '\nready\nand even more\n' > " + log, log);
  // The same bytes at the old end are lines of an earlier run.
  mk::Executor service{mk::Shell{"echo more >> " + log + "; exec sleep 300"},
                       mk::LogFileCheck{log, "ready"}, mk::TimeoutBudget{.start = 100ms}};
  CHECK_THROWS_AS(service.start(), mk::TimeoutExpired);
}

TEST_CASE("LogFileCheck: a file that comes and goes is no error") {
  const test::TempDir directory;
  const auto log = directory / "log";
  mk::Executor service{{"python3", "-c",
                        "import os, sys, time\nlog = sys.argv[1]\nfor i in range(20000):\n"
                        "  open(log, 'w').close(); os.rename(log, log + '.1')\n"
                        "open(log, 'w').write('ready\\n'); time.sleep(300)",
                        log},
                       mk::LogFileCheck{log, "^ready$"},
                       in_time};
  CHECK_NOTHROW(service.start());
}

TEST_CASE("LogFileCheck: the last answer tells of a file, or of a line that is missing") {
  const test::TempDir directory;
  const auto log = directory / "log";
  mk::Executor none{"sleep 300", mk::LogFileCheck{log, "ready"}, mk::TimeoutBudget{.start = 50ms}};
  CHECK(message_of<mk::TimeoutExpired>([&] {
          none.start();
        }).find("\n  last answer: no such file or directory\n") != std::string::npos);
  const auto start = [&](std::chrono::milliseconds budget) {
    mk::Executor{mk::Shell{"echo other > " + log + "; exec sleep 300"},
                 mk::LogFileCheck{log, "ready"}, mk::TimeoutBudget{.start = budget}}
        .start();
  };
  test::message_of_timeout(100ms, start, "\n  last answer: no such line so far\n");
}

TEST_CASE("LogFileCheck: the last lines of a file that is rotated count") {
  const auto check_rotated = [](const std::string& first, const std::string& last_of_old,
                                const std::string& last, std::size_t times) {
    const test::TempDir directory;
    const auto log = directory / "log";
    const auto add = [&](const std::string& word) { return "echo " + word + " >> " + log + "; "; };
    // The other check lets the service go on when the file has been seen, and keeps the file's
    // check from its next look until the file is there anew.
    int looks = 0;
    mk::Executor service{
        mk::Shell{add(first) + "until test -e " + log + ".seen; do sleep 0.01; done; " +
                  add(last_of_old) + "mv " + log + ' ' + log + ".1; " + add(last) + "touch " + log +
                  ".2; exec sleep 300"},
        mk::AllOf{mk::LogFileCheck{.path = log, .pattern = "^ready$", .times = times},
                  [&](const mk::Process&) {
                    if (!test::exists(log) || ++looks < 3) return false;
                    std::ofstream{log + ".seen"};
                    return test::eventually([&] { return test::exists(log + ".2"); });
                  }},
        in_time};
    CHECK_NOTHROW(service.start());
  };
  check_rotated("ready", "other", "ready", 2);
  check_rotated("other", "ready", "other", 1);
}

TEST_CASE("LogFileCheck: lines of an earlier run do not count, and the end is in the error") {
  const test::TempDir directory;
  const auto log = directory / "log";
  std::ofstream{log} << "ready\nlast words\n";
  mk::Executor service{"sleep 300", mk::LogFileCheck{.path = log, .pattern = "ready"},
                       mk::TimeoutBudget{.start = 100ms}};
  const auto message = message_of<mk::TimeoutExpired>([&] { service.start(); });
  CHECK(message.find("\n  waited for: a line with 'ready' in " + log + ", for ") != message.npos);
  CHECK(message.find("\n  note: the end of " + log + ":\n    ready\n    last words") !=
        message.npos);
  mk::Executor none{"sleep 300", mk::LogFileCheck{.path = directory / "none", .pattern = "ready"},
                    mk::TimeoutBudget{.start = 100ms}};
  CHECK(message_of<mk::TimeoutExpired>([&] {
          none.start();
        }).find("\n  note: " + (directory / "none") + " is not there") != std::string::npos);
}

TEST_CASE("LogFileCheck: a user's matcher is as it was given at each start") {
  const test::TempDir directory;
  const auto log = directory / "log";
  mk::Executor service{
      mk::Shell{"for n in 1 2 3; do echo $n >> " + log + "; done; exec sleep 300"},
      mk::LogFileCheck{.path = log,
                       .pattern = [lines = 0](std::string_view) mutable { return ++lines == 3; }},
      in_time};
  for (int start = 0; start < 2; ++start) {
    CHECK(service.start().running());
    service.stop();
  }
}
