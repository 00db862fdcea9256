// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/group.hpp>

#include "errors.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;

TEST_CASE("AnyExecutor: executors of different types fit in one container") {
  std::vector<mk::AnyExecutor> all;
  all.push_back(mk::Executor{{"sleep", "1000"}});
  all.push_back(mk::Executor{mk::Shell{"echo odd >&2; echo ready; exec sleep 1000"},
                             mk::BannerCheck{"ready"}, in_time});
  all.push_back(mk::Executor{{"sleep", "1000"}, mk::Discard{}, mk::DirectSpawner{}});
  for (auto& any : all) any.start();
  for (auto& any : all) {
    CHECK(any.running());
    CHECK(any.pid() > 0);
    CHECK_FALSE(any.exit_code());
    CHECK_NOTHROW(any.check_alive());
  }
  CHECK(all[1].output() == "ready\n");
  CHECK(all[1].err_output() == "odd\n");
  CHECK(all[2].output().empty());
  CHECK(all[0].command() == "sleep 1000");
  CHECK(all[1].timeline().checks.size() == 1);
  std::ostringstream text;
  text << all[0];
  CHECK(text.str() == "sleep 1000 (pid " + std::to_string(all[0].pid()) + ", running)");
  all[0].stop();
  all[1].kill();
  CHECK(all[0].exit_code() == -SIGTERM);
  CHECK(all[1].exit_code() == -SIGKILL);
}

TEST_CASE("AnyExecutor: an error is that of the executor, and names the place of the call") {
  mk::AnyExecutor any = mk::Executor{mk::Shell{"exit 3"}, mk::BannerCheck{"ready"}, in_time};
  CHECK_THROWS_AS(any.check_alive(), mk::ExecutorError);
  const auto text = test::message_of<mk::ProcessExitedWithError>([&] { any.start(); });
  CHECK(text.find("started at: " __FILE__) != text.npos);
}

TEST_CASE("AnyExecutor: wait and wait_for") {
  mk::AnyExecutor any = mk::Executor{mk::Shell{"echo one; read line; echo two; read line; exit 4"},
                                     mk::BannerCheck{"one"}, in_time};
  any.start();
  CHECK_THROWS_AS(any.wait(1ms), mk::TimeoutExpired);
  const auto write = [&, written = false](const mk::Process&) mutable {
    if (!std::exchange(written, true)) any.write("go\n");
    return true;
  };
  CHECK_NOTHROW(any.wait_for(mk::AllOf{mk::BannerCheck{"two"}, write}));
  CHECK_NOTHROW(any.wait_for(
      [](const mk::Process& process) { return process.output() == "one\ntwo\n"; }, 10s));
  any.pause().resume();
  any.close_input();
  any.wait();
  CHECK(any.exit_code() == 4);
}

TEST_CASE("AnyExecutor: a check of the output looks at it from the call on") {
  mk::AnyExecutor any =
      mk::Executor{mk::Shell{"echo one; exec sleep 1000"}, mk::BannerCheck{"one"}, in_time};
  any.start();
  const auto text =
      test::message_of<mk::TimeoutExpired>([&] { any.wait_for(mk::BannerCheck{"one"}, 20ms); });
  CHECK(text.find("a line before the call of wait_for() matches") != text.npos);
}

TEST_CASE("AnyExecutor: it stops by a signal, and for the time of a body") {
  mk::AnyExecutor any =
      mk::Executor{mk::Shell{"trap 'exit 9' QUIT; echo ready; while :; do sleep 0.02; done"},
                   mk::BannerCheck{"ready"}, in_time};
  any.start();
  const auto pid = any.pid();
  int calls = 0;
  any.stopped([&] { ++calls; });
  any.stopped([&](mk::AnyExecutor& stopped) { calls += stopped.running() ? 0 : 1; });
  CHECK(calls == 2);
  CHECK(any.running());
  CHECK(any.pid() != pid);
  CHECK_THROWS_AS(any.stopped([] { throw std::runtime_error{"no"}; }), std::runtime_error);
  CHECK(any.running());
  CHECK_NOTHROW(any.stop(SIGQUIT, {9}));
  CHECK(any.exit_code() == 9);
  any.start();
  any.kill(SIGHUP);
  CHECK(any.exit_code() == -SIGHUP);
  CHECK_THROWS_AS(any.kill(0), std::invalid_argument);
}

TEST_CASE("AnyExecutor: it knows ports, stragglers and published values") {
  mk::AnyExecutor any =
      mk::Executor{test::helper("listen", "127.0.0.1", "0"), mk::TCPCheck{"127.0.0.1", 0}, in_time};
  CHECK_THROWS_AS((void)any.port(), mk::ExecutorError);
  any.start();
  REQUIRE(any.ports().size() == 1);
  CHECK(any.port() == any.ports()[0].port);
  CHECK(any.stragglers().empty());
  CHECK(test::message_of<mk::ExecutorError>([&] {
          (void)any.published("port");
        }).starts_with("it publishes no 'port'; it publishes nothing\n"));
  any.stop();

  const auto mark = test::mark();
  mk::AnyExecutor shared =
      mk::Executor{test::helper("sleep", "50000", mark),
                   mk::Shared{.name = mark, .linger = 0s, .publish = {{"port", 80}}}};
  CHECK_THROWS_AS((void)shared.published("port"), mk::ExecutorError);
  shared.start();
  CHECK(shared.published("port") == "80");
}

TEST_CASE("AnyExecutor: a move takes the process along, and an assignment ends the old one") {
  mk::AnyExecutor first = mk::Executor{{"sleep", "1000"}};
  first.start();
  const auto pid = first.pid();
  mk::AnyExecutor second = std::move(first);
  CHECK(second.pid() == pid);
  second = mk::Executor{{"sleep", "1001"}};
  CHECK(::kill(pid, 0) != 0);
  CHECK(second.command() == "sleep 1001");
}
