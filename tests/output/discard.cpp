// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "files.hpp"
#include "words.hpp"

namespace mk = mirakuru;

TEST_CASE("Discard: output goes to /dev/null and costs no space") {
  static_assert(sizeof(mk::Executor<mk::Discard>) ==
                sizeof(mk::Executor<mk::Capture>) - sizeof(mk::Capture));
  const test::TempDir directory;
  mk::Executor executor{{test::helper(), "inspect", directory / "seen"}, mk::Discard{}};
  executor.start().wait();
  auto seen = test::read_inspect(directory / "seen");
  CHECK(seen["stdout"] == "null");
  CHECK(seen["stderr"] == "null");
}

TEST_CASE("Discard: a message has no output") {
  mk::Executor executor{mk::Shell{"echo why >&2; exit 3"}, mk::Discard{},
                        [](const mk::Process& process) { return !process.output().empty(); }};
  try {
    executor.start();
    FAIL("start() returned");
  } catch (const mk::ProcessExitedWithError& error) {
    CHECK(std::string{error.what()}.find("why\n") == std::string::npos);
    CHECK(std::string{error.what()}.find("the end of") == std::string::npos);
  }
}
