// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
#include "files.hpp"

namespace mk = mirakuru;

TEST_CASE("ToFile: both streams append to one file, output() has this run alone") {
  const test::TempDir directory;
  const auto log = directory / "log";
  std::ofstream{log} << "before\n";
  mk::Executor executor{mk::Shell{"echo out; echo err >&2"}, mk::ToFile{log}};
  executor.start().wait();
  CHECK(test::slurp(log) == "before\nout\nerr\n");
  CHECK(executor.output() == "out\nerr\n");
  executor.start().wait();
  CHECK(test::slurp(log) == "before\nout\nerr\nout\nerr\n");
  CHECK(executor.output() == "out\nerr\n");
}

TEST_CASE("ToFile: standard error can have its own file") {
  const test::TempDir directory;
  mk::Executor executor{mk::Shell{"echo out; echo err >&2"},
                        mk::ToFile{.path = directory / "out", .err_path = directory / "err"}};
  executor.start().wait();
  CHECK(test::slurp(directory / "out") == "out\n");
  CHECK(executor.err_output() == "err\n");
}

TEST_CASE("ToFile: a file that cannot be opened is named") {
  mk::Executor executor{"true", mk::ToFile{"/no/such/directory/log"}};
  try {
    executor.start();
    FAIL("start() returned");
  } catch (const mk::SpawnError& error) {
    CHECK(error.code() == std::errc::no_such_file_or_directory);
    CHECK(test::placeless(error.what()) ==
          "cannot start: open /no/such/directory/log: No such file or directory\n  command: true\n"
          "  started at: L");
  }
}

TEST_CASE("ToFile: a wrong file name is refused before anything runs, and shown whole") {
  using namespace std::string_literals;
  CHECK_THROWS_WITH_AS((mk::Executor{"true", mk::ToFile{"a\0b"s}}), "not a file name: 'a\\x00b'",
                       std::invalid_argument);
  CHECK_THROWS_AS((mk::Executor{"true", mk::ToFile{.path = "a", .err_path = "b\0"s}}),
                  std::invalid_argument);
  CHECK_THROWS_AS((mk::Executor{"true", mk::ToFile{""}}), std::invalid_argument);
}

TEST_CASE("ToFile: a file name may be a std::filesystem::path") {
  const test::TempDir directory;
  const std::filesystem::path place = directory.path();
  mk::Executor executor{mk::Shell{"echo $$ > " + (directory / "pid") + "; exec sleep 300"},
                        mk::ToFile{.path = place / "out", .err_path = place / "err"},
                        mk::PidCheck{.path = place / "pid", .alive = true}};
  CHECK(executor.start().running());
  CHECK(test::slurp(directory / "pid") == std::to_string(executor.pid()) + "\n");
  CHECK(mk::UnixSocketCheck{place / "socket"}.path.str() == directory / "socket");
}

TEST_CASE("ToFile: a message shows the shared file once") {
  const test::TempDir directory;
  mk::Executor executor{mk::Shell{"echo why; exit 3"}, mk::ToFile{directory / "log"},
                        [](const mk::Process&) { return false; },
                        mk::TimeoutBudget{.start = std::chrono::seconds{30}}};
  try {
    executor.start();
    FAIL("start() returned");
  } catch (const mk::ProcessExitedWithError& error) {
    const std::string message = error.what();
    CHECK(message.ends_with("the end of standard error:\n    why"));
  }
}
