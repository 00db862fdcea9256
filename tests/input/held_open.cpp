// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;
using test::message_of;

TEST_CASE_TEMPLATE("HeldOpen: the command reads all that is written", Spawner, mk::GuardedSpawner,
                   mk::DirectSpawner) {
  mk::Executor cat{"cat", in_time, Spawner{}};
  cat.start().write("one\n").write("two\n");
  CHECK(cat.running());
  cat.close_input().close_input().wait(30s);
  CHECK(cat.output() == "one\ntwo\n");
  cat.stop().start().write("again").close_input().wait(30s);
  CHECK(cat.output() == "again");
  const std::string large(3'000'000, 'x');
  cat.stop().start().write(large, 30s).close_input().wait(30s);
  CHECK(cat.output() == large);
}

TEST_CASE("HeldOpen: a slow reader meets the deadline, and lives on") {
  mk::SimpleExecutor sleeper{"sleep 300"};
  CHECK(message_of<mk::ExecutorError>([&] {
          sleeper.write("x");
        }).starts_with("it has not been started"));
  sleeper.start();
  const test::Elapsed elapsed;
  CHECK(message_of<mk::TimeoutExpired>([&] {
          sleeper.write(std::string(1'000'000, 'x'), 100ms);
        }).starts_with("cannot write to its standard input: it has not read "));
  CHECK(elapsed >= 100ms);
  CHECK(elapsed < 5s);
  CHECK(sleeper.running());
  sleeper.close_input();
  CHECK(message_of<mk::ExecutorError>([&] {
          sleeper.write("x");
        }).starts_with("cannot write to its standard input: it is closed"));
}

TEST_CASE("HeldOpen: a reader that is gone is an error, and no signal") {
  mk::OutputExecutor deaf{mk::Shell{"exec <&-; echo ready; exec sleep 300"},
                          mk::BannerCheck{"ready"}, in_time};
  deaf.start();
  CHECK(message_of<mk::ExecutorError>([&] {
          deaf.write("x");
        }).starts_with("cannot write to its standard input: broken pipe"));
  // A signal of the test's own stays.
  sigset_t pipe, before, pending;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
  ::raise(SIGPIPE);
  CHECK_THROWS_AS(deaf.write("x"), mk::ExecutorError);
  ::sigpending(&pending);
  CHECK(::sigismember(&pending, SIGPIPE) == 1);
  const timespec at_once{};
  CHECK(::sigtimedwait(&pipe, nullptr, &at_once) == SIGPIPE);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}
