// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/kit/run.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::message_of;

TEST_CASE("run: returns the outputs and the exit code") {
  const mk::Result result = mk::run({"sh", "-c", "echo out; echo err >&2"});
  CHECK(result.output == "out\n");
  CHECK(result.err_output == "err\n");
  CHECK(result.exit_code == 0);
  CHECK(mk::run("echo 'a b'").output == "a b\n");
  CHECK(mk::run(mk::Shell{"echo $((1 + 2))"}).output == "3\n");
  CHECK(mk::run(mk::Command{.argv = {"pwd"}, .cwd = "/"}).output == "/\n");
}

TEST_CASE("run: a bad end is thrown with command, exit code, both outputs and place") {
  try {
    mk::run({"sh", "-c", "echo out; echo err >&2; exit 3"});
    FAIL("it has not thrown");
  } catch (const mk::ProcessExitedWithError& error) {
    CHECK(error.exit_code() == 3);
    const std::string text = error.what();
    CHECK(text.starts_with("exited with a non-zero code: 3\n  command: sh -c "));
    CHECK(text.find("\n  started at: ") != text.npos);
    CHECK(text.find("run.cpp:") != text.npos);
    CHECK(text.find("standard error:\n    err") != text.npos);
    CHECK(text.find("standard output:\n    out") != text.npos);
  }
  CHECK_THROWS_AS(mk::run(mk::Shell{"kill -9 $$"}), mk::ProcessExitedWithError);
  CHECK_THROWS_AS(mk::run({"/no/such/program"}), mk::SpawnError);
}

TEST_CASE("run: accepted codes are good") {
  CHECK(mk::run(mk::Shell{"exit 2"}, mk::Accept{1, 2}).exit_code == 2);
  CHECK(mk::run(mk::Shell{"kill $$"}, mk::Accept{-SIGTERM}).exit_code == -SIGTERM);
  CHECK_THROWS_AS(mk::run(mk::Shell{"exit 3"}, mk::Accept{1, 2}), mk::ProcessExitedWithError);
}

TEST_CASE("run: it takes the policies of an executor in any order") {
  CHECK(mk::run({"cat"}, mk::InputText{"given"}, mk::DirectSpawner{}).output == "given");
  CHECK(mk::run({"cat"}, mk::Accept{1}, mk::TimeoutBudget{.start = 30s}, mk::NoInput{}).output ==
        "");
  CHECK(mk::run({"echo", "x"}, mk::Discard{}).output.empty());
  int events = 0;
  mk::run({"true"}, [&events, only = std::make_unique<int>()](const mk::Event&) { ++events; });
  CHECK(events > 0);
}

TEST_CASE("run: it is bounded, and leaves nothing") {
  const auto mark = test::mark();
  const auto words = test::helper("sleep", "60000", mark);
  const test::Elapsed elapsed;
  CHECK(message_of<mk::TimeoutExpired>([&] {
          mk::run(words, mk::TimeoutBudget{.start = 200ms});
        }).starts_with("timed out after 200 ms\n  command: " + test::line(words) + '\n'));
  CHECK(elapsed < 5s);
  CHECK(test::processes_matching(mark) == 0);
  const auto sleeper = test::line(words);
  CHECK(mk::run(mk::Shell{sleeper + " & setsid " + sleeper + " & echo done"}).output == "done\n");
  CHECK(test::processes_matching(mark) == 0);
  CHECK(mk::run({"sh", "-c", "head -c 3000000 /dev/zero"}).output.size() == 3'000'000);
}
