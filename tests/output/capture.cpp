// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <unistd.h>
#include <chrono>
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "files.hpp"
#include "process.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

TEST_CASE("Capture: the streams are kept apart, in the run and after it [difference 9]") {
  mk::Executor executor{
      mk::Shell{"echo out; echo err >&2; exec sleep 300"},
      [](const mk::Process& p) { return p.output() == "out\n" && p.err_output() == "err\n"; }};
  executor.start();
  CHECK(executor.output() == "out\n");
  CHECK(executor.err_output() == "err\n");
  executor.stop();
  CHECK(executor.output() == "out\n");
  CHECK(executor.err_output() == "err\n");
}

TEST_CASE("Capture: each start begins with empty output") {
  mk::SimpleExecutor executor{"echo once"};
  CHECK(executor.output().empty());
  executor.start().wait().start().wait();
  CHECK(executor.output() == "once\n");
}

TEST_CASE("Capture: a flood neither stalls the command nor fills the owner's memory") {
  constexpr long bytes = 50'000'000;
  mk::SimpleExecutor executor{
      {test::helper(), "flood", std::to_string(bytes), "then=done", "exit=0"}};
  const auto before = test::resident_bytes();
  executor.start().wait();
  CHECK(executor.exit_code() == 0);
  CHECK(test::resident_bytes() - before < 2'000'000);
  const auto text = executor.output();
  CHECK(text.size() == bytes + 5);
  CHECK(text.ends_with("done\n"));
}

TEST_CASE("Capture: NUL and other bytes are kept") {
  mk::SimpleExecutor executor{{"printf", "a\\0b\\377\\n\\n"}};
  CHECK(executor.start().wait().output() == std::string("a\0b\xff\n\n", 6));
}

TEST_CASE("Capture: the files have no names and lie in TMPDIR") {
  const test::TempDir directory;
  const char* const old = std::getenv("TMPDIR");
  const std::string kept = old != nullptr ? old : "";
  ::setenv("TMPDIR", directory.path().c_str(), 1);
  mk::SimpleExecutor executor{"echo here"};
  executor.start().wait();
  int found = 0;
  for (const int fd : test::open_fds()) {
    char target[4096];
    const auto link = "/proc/self/fd/" + std::to_string(fd);
    const auto size = ::readlink(link.c_str(), target, sizeof target);
    const std::string file(target, size > 0 ? static_cast<std::size_t>(size) : 0);
    found += file.starts_with(directory.path() + '/') && file.ends_with(" (deleted)");
  }
  CHECK(found == 2);
  old != nullptr ? ::setenv("TMPDIR", kept.c_str(), 1) : ::unsetenv("TMPDIR");
}

TEST_CASE("Capture: a missing TMPDIR is passed over") {
  const char* const old = std::getenv("TMPDIR");
  const std::string kept = old != nullptr ? old : "";
  ::setenv("TMPDIR", "/no/such/directory", 1);
  CHECK(mk::SimpleExecutor{"echo here"}.start().wait().output() == "here\n");
  old != nullptr ? ::setenv("TMPDIR", kept.c_str(), 1) : ::unsetenv("TMPDIR");
}

TEST_CASE("Capture: a command that moves its descriptor does not move the reader's") {
  mk::SimpleExecutor executor{mk::Shell{"echo first; echo second"}};
  executor.start().wait();
  CHECK(executor.output() == "first\nsecond\n");
  CHECK(executor.output() == "first\nsecond\n");
}

TEST_CASE("Capture: the message has the begin and the end of both streams") {
  mk::Executor executor{
      mk::Shell{"i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i+1)); done; echo no >&2; exit 1"},
      [](const mk::Process&) { return false; }};
  try {
    executor.start();
    FAIL("start() returned");
  } catch (const mk::ProcessExitedWithError& error) {
    const std::string message = error.what();
    CHECK(message.find("the end of standard error:\n    no") != std::string::npos);
    CHECK(message.find("the end of standard output:\n    line 0\n    line 1\n") !=
          std::string::npos);
    CHECK(message.find("    line 4\n    [... 10 lines left out ...]\n    line 15\n") !=
          std::string::npos);
    CHECK(message.ends_with("    line 29"));
  }
}
