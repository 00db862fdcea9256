// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <exception>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "net.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::helper;
using test::in_time;
using test::mark;

TEST_CASE("Executor: the public names exist [scenario 1]") {
  static_assert(std::is_same_v<mk::SimpleExecutor, mk::Executor<>>);
  static_assert(std::is_same_v<mk::TCPExecutor, mk::Executor<mk::TCPCheck>>);
  static_assert(std::is_same_v<mk::HTTPExecutor, mk::Executor<mk::TCPCheck, mk::HTTPCheck>>);
  static_assert(std::is_base_of_v<mk::ExecutorError, mk::AlreadyRunning>);
  static_assert(std::is_base_of_v<mk::ExecutorError, mk::TimeoutExpired>);
  static_assert(std::is_base_of_v<mk::ExecutorError, mk::SpawnError>);
  static_assert(std::is_base_of_v<mk::ExecutorError, mk::ProcessExitedWithError>);
  static_assert(std::is_base_of_v<mk::ProcessExitedWithError, mk::ProcessFinishedWithError>);
}

TEST_CASE("Executor: a line and words start, run and stop [scenario 2]") {
  mk::SimpleExecutor line{"sleep 300"};
  mk::SimpleExecutor words{{"sleep", "300"}};
  for (auto* executor : {&line, &words}) {
    CHECK_FALSE(executor->running());
    CHECK(executor->pid() == 0);
    executor->start();
    CHECK(executor->running());
    const auto pid = executor->pid();
    CHECK(test::alive(pid));
    CHECK_FALSE(executor->exit_code());
    executor->stop();
    CHECK_FALSE(executor->running());
    CHECK(executor->exit_code() == -SIGTERM);
    CHECK_FALSE(test::alive(pid));
    CHECK(executor->command() == "sleep 300");
  }
}

TEST_CASE("Executor: a line and its words make the same command [scenario 3]") {
  const mk::SimpleExecutor line{"sh -c 'sleep 300 && echo \"a b\"'"};
  const mk::SimpleExecutor words{{"sh", "-c", "sleep 300 && echo \"a b\""}};
  CHECK(line.command() == words.command());
  CHECK(line.command() == "sh -c 'sleep 300 && echo \"a b\"'");
}

TEST_CASE("Executor: the stop signal of the strategy is sent [scenario 4]") {
  mk::SimpleExecutor executor{"sleep 300", mk::Signals{.stop = SIGQUIT}};
  executor.start().stop();
  CHECK_FALSE(executor.running());
  CHECK(executor.exit_code() == -SIGQUIT);
}

TEST_CASE("Executor: the stop signal of stop() is sent [scenario 5]") {
  mk::SimpleExecutor executor{"sleep 300"};
  executor.start().stop(SIGQUIT);
  CHECK_FALSE(executor.running());
  CHECK(executor.exit_code() == -SIGQUIT);
}

TEST_CASE("Executor: stop() of a failed process reports the failure once [scenario 6]") {
  mk::SimpleExecutor executor{mk::Shell{"false"}};
  executor.start().wait();
  try {
    executor.stop(SIGQUIT);
    FAIL("stop() did not report the exit status");
  } catch (const mk::ProcessFinishedWithError& error) {
    CHECK(error.exit_code() == 1);
    CHECK(test::placeless(error.what()) ==
          "exited with a non-zero code: 1, which stop() does not accept\n"
          "  command: false\n  started at: L");
  }
  CHECK_FALSE(executor.running());
  executor.stop();
  CHECK(executor.exit_code() == 1);

  // The codes of the call decide: the end by the signal, or the end that came before.
  executor.start().wait();
  CHECK_THROWS_AS(executor.stop(SIGQUIT, {-SIGQUIT}), mk::ProcessFinishedWithError);
  executor.start().wait();
  CHECK(executor.stop(SIGQUIT, {-SIGQUIT, 1}).exit_code() == 1);
}

TEST_CASE("Executor: exit codes of a call are accepted beside those of the strategy") {
  mk::SimpleExecutor executor{helper("exit", "3"), mk::Signals{.accept = {4}}};
  CHECK(mk::SimpleExecutor{helper("exit", "3")}.start().wait().stop(SIGINT, {3}).exit_code() == 3);
  CHECK(executor.start().wait().stop(SIGINT, {3}).exit_code() == 3);
  executor.start().wait();
  CHECK_THROWS_AS(executor.stop(SIGINT), mk::ProcessFinishedWithError);

  mk::SimpleExecutor other{helper("exit", "4"), mk::Signals{.accept = {4}}};
  CHECK(other.start().wait().stop(SIGINT, {3}).exit_code() == 4);
  CHECK_THROWS_AS(other.stop(0, {3}), std::invalid_argument);
}

TEST_CASE("Executor: the end of a scope after a stop does nothing [scenario 7]") {
  mk::SimpleExecutor executor{"sleep 300", mk::Signals{.accept = {-SIGQUIT}}};
  {
    auto scoped = std::move(executor).start();
    scoped.stop(SIGQUIT);
    CHECK_FALSE(scoped.running());
  }
}

TEST_CASE("Executor: the process runs in the scope, and not after it [scenario 8, difference 8]") {
  pid_t pid = 0;
  {
    auto scoped = mk::SimpleExecutor{"sleep 300"}.start();
    pid = scoped.pid();
    CHECK(scoped.running());
  }
  CHECK_FALSE(test::alive(pid));
}

TEST_CASE("Executor: a temporary runs until the end of its expression [scenario 9]") {
  CHECK(mk::SimpleExecutor{"sleep 300"}.start().running());
  const auto pid = mk::SimpleExecutor{"sleep 300"}.start().pid();
  CHECK_FALSE(test::alive(pid));
}

TEST_CASE("Executor: stopped() stops inside and starts after [scenario 10, difference 10]") {
  pid_t pid = 0;
  {
    auto executor = mk::SimpleExecutor{"sleep 300"}.start();
    const auto before = executor.pid();
    executor.stopped([&] {
      CHECK_FALSE(executor.running());
      CHECK_FALSE(test::alive(before));
    });
    CHECK(executor.running());
    pid = executor.pid();
    CHECK(pid != before);

    SUBCASE("the body throws: the executor starts all the same") {
      CHECK_THROWS_AS(executor.stopped([] { throw std::out_of_range{"mine"}; }), std::out_of_range);
      CHECK(executor.running());
      pid = executor.pid();
    }
    SUBCASE("the body may take the executor") {
      executor.stopped([&](auto& same) { CHECK(&same == &executor); });
      pid = executor.pid();
    }
  }
  CHECK_FALSE(test::alive(pid));
}

TEST_CASE("Executor: stopped() passes the exception of the body on when the start fails, too") {
  const test::TempDir directory;
  const auto program = directory / "program";
  REQUIRE(::symlink("/bin/sleep", program.c_str()) == 0);
  mk::SimpleExecutor executor{{program, "300"}};
  executor.start();
  CHECK_THROWS_AS(executor.stopped([&] {
    ::unlink(program.c_str());
    throw std::out_of_range{"mine"};
  }),
                  std::out_of_range);
  CHECK_FALSE(executor.running());
}

TEST_CASE("Executor: stopped() of an idle executor starts nothing [difference 10]") {
  mk::SimpleExecutor executor{"sleep 300"};
  bool called = false;
  executor.stopped([&] { called = true; });
  CHECK(called);
  CHECK_FALSE(executor.running());
}

TEST_CASE("Executor: output() has the text of a line and of words [scenario 11]") {
  CHECK(mk::SimpleExecutor{"echo \"foobar\""}.start().wait().output() == "foobar\n");
  mk::SimpleExecutor words{{"echo", "foobar"}};
  CHECK(words.start().wait().output() == "foobar\n");
  CHECK(words.stop().output() == "foobar\n");
  CHECK(words.exit_code() == 0);
}

TEST_CASE("Executor: output() has the text of a shell's line [scenario 12]") {
  CHECK(mk::SimpleExecutor{mk::Shell{"echo foobar"}}.start().wait().output() == "foobar\n");
  CHECK(mk::SimpleExecutor{mk::Command{.argv = "echo \"foobar\" && true", .shell = true}}
            .start()
            .wait()
            .output() == "foobar\n");
}

TEST_CASE("Executor: stop() before start() is harmless [scenario 14]") {
  mk::SimpleExecutor executor{"sleep 300"};
  executor.stop().kill();
  CHECK_FALSE(executor.exit_code());
  CHECK(executor.start().running());
}

TEST_CASE("Executor: the destructor ends the shell and its command [scenario 15]") {
  const auto marker = mark();
  auto executor = std::make_unique<mk::SimpleExecutor>(
      mk::Shell{test::helper() + " sleep 60000 " + marker + " && true"});
  executor->start();
  CHECK(test::eventually([&] { return test::commands_matching(marker) >= 2; }));
  executor.reset();
  CHECK(test::processes_matching(marker) == 0);
}

TEST_CASE("Executor: a non-zero end before readiness is an error at once [scenario 16]") {
  int calls = 0;
  mk::Executor executor{helper("exit", "12", "after=50"),
                        [&](const mk::Process&) {
                          ++calls;
                          return false;
                        },
                        in_time};
  const test::Elapsed elapsed;
  try {
    executor.start();
    FAIL("start() returned");
  } catch (const mk::ProcessExitedWithError& error) {
    CHECK(error.exit_code() == 12);
    CHECK(std::string{error.what()}.starts_with(
        "exited with a non-zero code: 12 before it was ready\n"));
  }
  CHECK(elapsed < 5s);
  CHECK(calls > 0);
  CHECK_FALSE(executor.running());
  CHECK(executor.exit_code() == 12);
}

TEST_CASE("Executor: a zero end of the whole tree is an error, too [scenario 17, difference 2]") {
  mk::Executor executor{helper("exit", "0"), [](const mk::Process&) { return false; }, in_time};
  const test::Elapsed elapsed;
  try {
    executor.start();
    FAIL("start() returned");
  } catch (const mk::ProcessExitedWithError& error) {
    CHECK(error.exit_code() == 0);
    CHECK(std::string{error.what()}.starts_with("exited with code 0 before it was ready\n"));
  }
  CHECK(elapsed < 10s);
}

TEST_CASE("Executor: after a zero end the rest of the tree is waited for [difference 2]") {
  const test::TempDir directory;
  const auto done = directory / "done";
  // The leader ends at once; the rest of its group makes the file.
  mk::Executor executor{mk::Shell{"(sleep 0.2; touch " + done + "; exec sleep 60) & exit 0"},
                        [&](const mk::Process&) { return test::exists(done); }, in_time};
  executor.start();
  CHECK(executor.running());
  CHECK(executor.exit_code() == 0);
  executor.stop();
  CHECK_FALSE(executor.running());
}

TEST_CASE("Executor: calls can be chained [scenario 18]") {
  mk::SimpleExecutor executor{"sleep 300"};
  CHECK_FALSE(executor.start().stop().kill().stop().running());
  CHECK(&executor.start() == &executor);
  CHECK(&executor.stop() == &executor);
  CHECK(&executor.stopped([](auto&) {}) == &executor);
}

TEST_CASE("Executor: the kill signal of the strategy is sent [scenario 20]") {
  mk::SimpleExecutor executor{"sleep 300", mk::Signals{.kill = SIGQUIT}};
  executor.start().kill();
  CHECK_FALSE(executor.running());
  CHECK(executor.exit_code() == -SIGQUIT);
}

TEST_CASE("Executor: the kill signal of kill() is sent [scenario 21]") {
  mk::SimpleExecutor executor{"sleep 300"};
  executor.start().kill(SIGQUIT);
  CHECK_FALSE(executor.running());
  CHECK(executor.exit_code() == -SIGQUIT);
}

TEST_CASE("Executor: a group killed from outside is held until stop() [scenario 22]") {
  mk::SimpleExecutor executor{"sleep 300"};
  executor.start();
  REQUIRE(::kill(-executor.pid(), SIGKILL) == 0);
  executor.wait_for([&] { return !executor.running(); });
  CHECK(executor.pid() != 0);
  try {
    executor.stop();
    FAIL("stop() did not report the end");
  } catch (const mk::ProcessFinishedWithError& error) {
    CHECK(error.exit_code() == -SIGKILL);
  }
  CHECK(executor.pid() == 0);
}

TEST_CASE("Executor: a process that catches every signal is killed, no error [scenario 26]") {
  const test::Port port;
  mk::HTTPExecutor executor{
      {test::helper(), "h2", "127.0.0.1", port.str(), "immortal", "HEAD", "countdown=20"},
      mk::HTTPCheck{port.url("/")},
      mk::TimeoutBudget{.start = 20s, .stop = 200ms}};
  executor.start();
  const test::Elapsed elapsed;
  executor.stop();
  CHECK(elapsed >= 200ms);
  CHECK(executor.exit_code() == -SIGKILL);
}

TEST_CASE("Executor: start() keeps a running process and replaces a dead one [difference 1]") {
  mk::SimpleExecutor executor{"sleep 300"};
  const auto first = executor.start().pid();
  CHECK(executor.start().pid() == first);
  REQUIRE(::kill(first, SIGKILL) == 0);
  executor.wait();
  CHECK_FALSE(executor.running());
  CHECK(executor.exit_code() == -SIGKILL);
  CHECK(executor.start().pid() != first);
  CHECK(executor.running());
  CHECK_FALSE(executor.exit_code());
}

TEST_CASE("Executor: stop() reports a crash, but not an accepted end [difference 7]") {
  mk::SimpleExecutor executor{"sleep 300"};
  executor.start();
  REQUIRE(::kill(executor.pid(), SIGKILL) == 0);
  executor.wait();
  try {
    executor.stop();
    FAIL("stop() did not report the crash");
  } catch (const mk::ProcessFinishedWithError& error) {
    CHECK(error.exit_code() == -SIGKILL);
    CHECK(test::placeless(error.what()) ==
          "ended by signal 9 (Killed), which stop() does not accept\n  command: sleep 300\n"
          "  started at: L");
  }

  mk::SimpleExecutor accepted{helper("exit", "3"), mk::Signals{.accept = {3}}};
  CHECK(accepted.start().wait().stop().exit_code() == 3);
}

TEST_CASE("Executor: 128 plus the stop signal is an accepted end [difference 7]") {
  mk::Executor executor{helper("trap", "TERM", "exit=143"),
                        [](const mk::Process& process) { return process.output() == "ready\n"; },
                        in_time};
  CHECK(executor.start().stop().exit_code() == 143);
}

TEST_CASE("Executor: a process that ignores the stop signal is killed in time [difference 7]") {
  mk::Executor executor{helper("ignore", "TERM"), mk::TimeoutBudget{.start = 30s, .stop = 100ms},
                        [](const mk::Process& process) { return process.output() == "ready\n"; }};
  executor.start();
  const test::Elapsed elapsed;
  executor.stop();
  CHECK(elapsed >= 100ms);
  CHECK_FALSE(executor.running());
  CHECK(executor.exit_code() == -SIGKILL);
}

TEST_CASE("Executor: a ladder goes from signal to signal") {
  std::string output;
  // A busy machine may need more time for a step.
  for (auto wait = 50ms; wait < 5s && output != "ready\ngot 2\ngot 15\n"; wait *= 2) {
    mk::Executor executor{
        helper("trap", "INT,TERM"), mk::SignalLadder{{SIGINT, wait}, {SIGTERM, wait}},
        [](const mk::Process& process) { return process.output() == "ready\n"; }, in_time};
    executor.start().stop();
    output = executor.output();
    CHECK(executor.exit_code() == -SIGKILL);
  }
  CHECK(output == "ready\ngot 2\ngot 15\n");
}

TEST_CASE("Executor: stop() waits for the whole process group") {
  const test::TempDir directory;
  mk::Executor executor{helper("tree", "width=3", "pidfile=" + (directory / "pids")),
                        [](const mk::Process& process) { return process.output() == "ready\n"; },
                        in_time};
  executor.start();
  const auto pids = test::read_pids(directory / "pids");
  CHECK(pids.size() == 3);
  executor.stop();
  for (const auto pid : pids) CHECK_FALSE(test::alive(pid));
}

TEST_CASE("Executor: stop() ends grandchildren that ignore the stop signal [defect 8]") {
  const test::TempDir directory;
  mk::Executor executor{helper("tree", "width=2", "ignore=TERM", "pidfile=" + (directory / "pids")),
                        mk::TimeoutBudget{.start = 30s, .stop = 100ms},
                        [](const mk::Process& process) { return process.output() == "ready\n"; }};
  executor.start();
  const auto pids = test::read_pids(directory / "pids");
  CHECK(pids.size() == 2);
  executor.stop();
  for (const auto pid : pids) CHECK_FALSE(test::alive(pid));
}

TEST_CASE("Executor: a timeout ends the tree and reports the budget") {
  const auto marker = mark();
  const auto start = [&](std::chrono::milliseconds budget) {
    mk::Executor executor{helper("ignore", "TERM", marker), mk::TimeoutBudget{.start = budget},
                          [](const mk::Process&) { return mk::not_ready("still warming up"); }};
    const test::Elapsed elapsed;
    try {
      executor.start();
      FAIL("start() returned");
    } catch (const mk::TimeoutExpired& error) {
      CHECK(error.timeout() == budget);
      CHECK(elapsed >= budget);
      CHECK(elapsed < budget + 5s);
      CHECK(test::processes_matching(marker) == 0);
      throw;
    }
  };
  const auto message =
      test::message_of_timeout(100ms, start, "the end of standard output:\n    ready");
  CHECK(message.starts_with("timed out after "));
  CHECK(message.find("last answer: still warming up") != std::string::npos);
  CHECK(message.find("waited for: a predicate (check 1)") != std::string::npos);
}

TEST_CASE("Executor: a predicate is called once even without time") {
  mk::Executor executor{"sleep 300", [](const mk::Process&) { return true; },
                        mk::TimeoutBudget{.start = 0s}};
  CHECK(executor.start().running());
}

TEST_CASE("Executor: the checks share one deadline and run in order") {
  std::string order;
  std::chrono::nanoseconds late = 1h;
  const auto start = [&](std::chrono::milliseconds budget) {
    order.clear();
    const auto slow = [&, begin = std::optional<test::Elapsed>{}](const mk::Process&) mutable {
      if (!begin) begin.emplace();
      if (*begin < budget / 2) return false;
      order += 'a';
      return true;
    };
    mk::Executor executor{"sleep 300", mk::TimeoutBudget{.start = budget}, slow,
                          [&](const mk::Process&) {
                            order += order.ends_with('b') ? "" : "b";
                            return false;
                          }};
    const test::Elapsed elapsed;
    CHECK_THROWS_AS(executor.start(), mk::TimeoutExpired);
    late = elapsed.time() - budget;
  };
  // With a deadline of its own the second one would be half of the budget late. A busy machine may
  // be late, too.
  auto budget = 120ms;
  for (start(budget); budget < 5s && (order != "ab" || late > budget / 4); start(budget))
    budget *= 2;
  CHECK(order == "ab");
  CHECK(late <= budget / 4);
}

TEST_CASE("Executor: a check that throws ends the start, and its exception is nested") {
  const auto marker = mark();
  mk::Executor executor{helper("sleep", "60000", marker),
                        [](const mk::Process&) -> bool { throw std::out_of_range{"index 7"}; },
                        in_time};
  try {
    executor.start();
    FAIL("start() returned");
  } catch (const mk::ExecutorError& error) {
    CHECK(std::string{error.what()}.starts_with("a readiness check failed: index 7\n"));
    CHECK_THROWS_AS(std::rethrow_if_nested(error), std::out_of_range);
  }
  CHECK(test::processes_matching(marker) == 0);
}

TEST_CASE("Executor: wait_for() returns when the predicate holds") {
  mk::SimpleExecutor executor{helper("print", "ready", "exit=7")};
  executor.start();
  CHECK(&executor.wait_for([&] { return !executor.running(); }) == &executor);
  CHECK(executor.exit_code() == 7);
  executor.wait_for([](const mk::Process& process) { return process.output() == "ready"; });
}

TEST_CASE("Executor: wait_for() gives its predicate the state of the process") {
  mk::SimpleExecutor executor{helper("exit", "0", "after=50")};
  executor.start().wait_for([](const mk::Process& process) { return !process.running(); }, 10s);
  CHECK(executor.exit_code() == 0);
}

TEST_CASE("Executor: wait_for() kills the tree at its deadline [difference 12]") {
  mk::SimpleExecutor executor{"sleep 300"};
  executor.start();
  const auto pid = executor.pid();
  try {
    executor.wait_for([] { return false; }, 50ms);
    FAIL("wait_for() returned");
  } catch (const mk::TimeoutExpired& error) {
    CHECK(error.timeout() == 50ms);
  }
  CHECK_FALSE(test::alive(pid));
  CHECK_FALSE(executor.running());
}

TEST_CASE("Executor: wait_for() has the whole start budget again [difference 12]") {
  const auto begin = mk::detail::Clock::now();
  mk::Executor executor{"sleep 300",
                        [&](const mk::Process&) { return mk::detail::Clock::now() - begin > 50ms; },
                        mk::TimeoutBudget{.start = 1s}};
  executor.start();
  const test::Elapsed elapsed;
  try {
    executor.wait_for([&] { return elapsed >= 20s; });
    FAIL("wait_for() returned");
  } catch (const mk::TimeoutExpired& error) {
    CHECK(error.timeout() == 1s);
  }
  CHECK(elapsed >= 1s);
}

TEST_CASE("Executor: wait_for() without time asks once") {
  mk::SimpleExecutor executor{"sleep 300"};
  int asked = 0;
  for (const auto none : {0s, -1s}) {
    executor.start().wait_for([&] { return ++asked > 0; }, none);
    CHECK_THROWS_AS(executor.wait_for([&] { return ++asked < 0; }, none), mk::TimeoutExpired);
  }
  CHECK(asked == 4);
  CHECK_FALSE(executor.running());
}

TEST_CASE("Executor: wait_for() fails at once when the process has ended") {
  mk::SimpleExecutor executor{mk::Shell{"echo reloading; sleep 0.1; echo why >&2; exit 4"}};
  const auto reloaded = [](const mk::Process& process) {
    return process.output().find("reloaded") != std::string::npos;
  };
  const test::Elapsed elapsed;
  executor.start();
  try {
    executor.wait_for(reloaded);
    FAIL("wait_for() returned");
  } catch (const mk::ProcessExitedWithError& error) {
    CHECK(error.exit_code() == 4);
    const std::string message = test::timeless(error.what());
    CHECK(message.starts_with("exited with a non-zero code: 4 before wait_for() could pass\n"));
    CHECK(message.find("waited for: the predicate of wait_for, for T") != std::string::npos);
    CHECK(message.find("\n    why") != std::string::npos);
  }
  CHECK(elapsed < 20s);
  CHECK_FALSE(executor.running());
  executor.stop();  // it has been told
  CHECK_THROWS_AS(executor.wait_for(reloaded), mk::ProcessExitedWithError);
  CHECK(executor.wait_for([&] { return executor.exit_code() == 4; }).exit_code() == 4);
}

TEST_CASE("Executor: wait_for() gives the tree of a failed leader a second") {
  const auto marker = mark();
  mk::SimpleExecutor executor{
      mk::Shell{test::helper() + " sleep 60000 " + marker + " & sleep 0.1; exit 5"}};
  executor.start();
  const test::Elapsed elapsed;
  CHECK_THROWS_AS(executor.wait_for([] { return false; }, 50s), mk::ProcessExitedWithError);
  CHECK(elapsed >= 1s);
  CHECK(elapsed < 20s);
  CHECK(test::processes_matching(marker) == 0);
}

TEST_CASE("Executor: wait_for() takes a check, which sees the output from the call on") {
  const test::TempDir directory;
  const std::string fifo = directory / "in";
  mk::Executor executor{mk::Shell{"mkfifo " + fifo + "; echo connected; read line < " + fifo +
                                  "; while :; do echo connected again; sleep 0.05; done"},
                        mk::BannerCheck{"connected"}, in_time};
  executor.start();
  CHECK_THROWS_AS(executor.wait_for(mk::BannerCheck{"^connected$"}, 100ms), mk::TimeoutExpired);
  executor.start();
  std::ofstream{fifo} << "go\n";
  executor.wait_for(mk::BannerCheck{"again"}, 30s);
  CHECK(executor.output().starts_with("connected\nconnected again\n"));
}

TEST_CASE("Executor: wait_for() takes a reason, and a check of each kind") {
  const test::Port port;
  mk::SimpleExecutor executor{{test::helper(), "listen", "127.0.0.1", port.str()}};
  executor.start().wait_for(mk::TCPCheck{"127.0.0.1", port.number()}, 30s);
  CHECK(test::connects("127.0.0.1", port.number()));
  try {
    executor.wait_for([] { return mk::not_ready("three of four nodes"); }, 50ms);
    FAIL("wait_for() returned");
  } catch (const mk::TimeoutExpired& error) {
    CHECK(std::string{error.what()}.find("\n  last answer: three of four nodes") !=
          std::string::npos);
  }
  struct Named {
    bool operator()(const mk::Process&) const { return false; }
    std::string describe() const { return "the fourth node"; }
  };
  try {
    executor.start().wait_for(Named{}, 50ms);
    FAIL("wait_for() returned");
  } catch (const mk::TimeoutExpired& error) {
    CHECK(std::string{error.what()}.find("\n  waited for: the fourth node, for ") !=
          std::string::npos);
  }
}

TEST_CASE("Executor: calls before the start say so at once") {
  mk::SimpleExecutor executor{"sleep 300"};
  const std::string expected = "it has not been started\n  command: sleep 300";
  using Error = mk::ExecutorError;
  CHECK(test::message_of<Error>([&] { executor.wait(); }) == expected);
  CHECK(test::message_of<Error>([&] { executor.wait_for([] { return true; }); }) == expected);
  CHECK(test::message_of<Error>([&] { executor.check_alive(); }) == expected);
  CHECK_FALSE(executor.stop().kill().exit_code());
  executor.start().stop();
  CHECK(test::placeless(test::message_of<Error>([&] { executor.check_alive(); })) ==
        "it has been stopped; it ended by signal 15 (Terminated)\n  command: sleep 300\n  started "
        "at: "
        "L");
  executor.wait();  // it has ended
}

TEST_CASE("Executor: it prints its command, process id and state") {
  const auto printed = [](const auto& executor) {
    std::ostringstream text;
    text << executor;
    return text.str();
  };
  mk::SimpleExecutor executor{"sleep 300"};
  CHECK(printed(executor) == "sleep 300 (not started)");
  executor.start();
  const auto pid = std::to_string(executor.pid());
  CHECK(printed(executor) == "sleep 300 (pid " + pid + ", running)");
  CHECK(doctest::toString(executor) == printed(executor).c_str());
  executor.stop();
  CHECK(printed(executor) == "sleep 300 (ended by signal 15 (Terminated))");
  executor.start();
  REQUIRE(::kill(executor.pid(), SIGKILL) == 0);
  executor.wait();
  CHECK(printed(executor).ends_with(", ended by signal 9 (Killed))"));
}

TEST_CASE("Executor: an error names the place of the call") {
  mk::SimpleExecutor executor{"/no/such/program"};
  const auto line = std::to_string(__LINE__ + 1);
  const auto message = test::message_of<mk::SpawnError>([&] { executor.start(); });
  CHECK(message.ends_with("\n  started at: " + std::string{__FILE__} + ':' + line));
  const auto moved = [&] { std::move(executor).start(); };
  CHECK(test::message_of<mk::SpawnError>(moved).ends_with(':' + std::to_string(__LINE__ - 1)));
}

TEST_CASE("Executor: the message of a crash has the first and the last lines of the output") {
  mk::Executor executor{mk::Shell{"echo ERROR: the real reason; seq 1 60; exit 3"},
                        mk::TCPCheck{"127.0.0.1", 1}, in_time};
  const auto message = test::message_of<mk::ProcessExitedWithError>([&] { executor.start(); });
  CHECK(message.find("\n    ERROR: the real reason\n    1\n    2\n    3\n    4\n"
                     "    [... 41 lines left out ...]\n    46\n") != std::string::npos);
  CHECK(message.ends_with("\n    59\n    60"));
}

TEST_CASE("Executor: the message of a failed start names words for a shell") {
  mk::Executor executor{"echo a && sleep 60", mk::BannerCheck{"ready"}, in_time};
  CHECK(test::timeless(test::message_of<mk::ProcessExitedWithError>([&] { executor.start(); })) ==
        "exited with code 0 before it was ready\n  command: echo a '&&' sleep 60\n"
        "  started at: L\n  waited for: a line with 'ready', for T\n"
        "  note: '&&' is a plain word here; a line for a shell is mk::Shell{\"...\"}\n"
        "  the end of standard output:\n    a && sleep 60");
  mk::SimpleExecutor variable{"PORT=80 node srv.js"};
  CHECK(
      test::message_of<mk::SpawnError>([&] { variable.start(); })
          .find("\n  note: 'PORT=80' is the program here; a variable is Command{.env = {{\"PORT\", "
                "\"80\"}}}") != std::string::npos);
}

TEST_CASE("Executor: check_alive() tells the end of a service") {
  mk::SimpleExecutor executor{mk::Shell{"echo fatal >&2; read line; exit 9"}};
  CHECK(&executor.start().check_alive() == &executor);
  REQUIRE(::kill(executor.pid(), SIGSEGV) == 0);
  executor.wait();
  try {
    executor.check_alive();
    FAIL("check_alive() returned");
  } catch (const mk::ProcessExitedWithError& error) {
    CHECK(error.exit_code() == -SIGSEGV);
    CHECK(std::string{error.what()}.starts_with(
        "ended by signal 11 (Segmentation fault) while the test needed it\n"));
  }
  CHECK_THROWS_AS(executor.stop(), mk::ProcessFinishedWithError);

  mk::SimpleExecutor failed{mk::Shell{"exit 3"}};
  CHECK_THROWS_AS(failed.start().wait_for([] { return false; }, 10s), mk::ProcessExitedWithError);
  CHECK(test::message_of<mk::ExecutorError>([&] {
          failed.check_alive();
        }).starts_with("it has been stopped; it exited with a non-zero code: 3\n"));

  mk::SimpleExecutor daemon{mk::Shell{"sleep 300 & exit 0"}};
  daemon.start().wait();
  CHECK(daemon.check_alive().exit_code() == 0);
}

TEST_CASE("Executor: wait_for() passes exceptions of the predicate on, the process runs on") {
  mk::SimpleExecutor executor{"sleep 300"};
  executor.start();
  CHECK_THROWS_AS(executor.wait_for([]() -> bool { throw std::out_of_range{"mine"}; }),
                  std::out_of_range);
  CHECK(executor.running());
}

TEST_CASE("Executor: a move takes the process along") {
  mk::SimpleExecutor first{"sleep 300"};
  first.start();
  const auto pid = first.pid();
  mk::SimpleExecutor second{std::move(first)};
  CHECK(second.pid() == pid);
  CHECK(second.running());

  mk::SimpleExecutor third{"sleep 301"};
  third.start();
  const auto third_pid = third.pid();
  third = std::move(second);
  CHECK(second.output().empty());  // it has moved, too
  CHECK_FALSE(test::alive(third_pid));
  CHECK(third.pid() == pid);
  CHECK(third.running());
  CHECK(third.command() == "sleep 300");
}

TEST_CASE("Executor: a command that cannot run is a SpawnError with the reason") {
  const auto message = [](auto executor) {
    try {
      executor.start();
    } catch (const mk::SpawnError& error) {
      CHECK_FALSE(executor.running());
      return test::placeless(error.what());
    }
    return std::string{"started"};
  };
  const test::TempDir directory;
  const auto write = [&](const char* name, const char* text, mode_t mode) {
    const auto path = directory / name;
    std::ofstream{path} << text;
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    return path;
  };
  CHECK(message(mk::SimpleExecutor{"/no/such/program -x"}) ==
        "cannot run /no/such/program: no such file or directory\n  command: /no/such/program -x\n"
        "  started at: L");
  const auto plain = write("plain", "text", 0644);
  CHECK(message(mk::SimpleExecutor{{plain}}) ==
        "cannot run " + plain + ": permission denied, not executable (chmod +x)\n  command: " +
            plain + "\n  started at: L");
  const auto odd = write("odd", "no format at all", 0755);
  CHECK(message(mk::SimpleExecutor{{odd}}) ==
        "cannot run " + odd + ": exec format error\n  command: " + odd + "\n  started at: L");
  const auto orphan = write("orphan", "#!/no/such/interpreter\n", 0755);
  CHECK(message(mk::SimpleExecutor{{orphan}}) ==
        "cannot run " + orphan +
            ": its interpreter '/no/such/interpreter' is not there\n  command: " + orphan +
            "\n  started at: L");
  CHECK(message(mk::SimpleExecutor{mk::Command{.argv = "true", .cwd = "/no/such/directory"}}) ==
        "cannot run in the directory /no/such/directory: no such file or directory\n"
        "  command: true\n  started at: L");
}

TEST_CASE("Executor: the command has its directory, its environment and the executor's id") {
  const test::TempDir directory;
  const auto file = directory / "inspect";
  mk::SimpleExecutor executor{
      mk::Command{.argv = helper("inspect", file), .cwd = "/usr", .env = {{"MY_OWN", "a b"}}}};
  executor.start().wait();
  auto seen = test::read_inspect(file);
  CHECK(seen["cwd"] == "/usr");
  CHECK(seen["env:MY_OWN"] == "a b");
  CHECK(seen["env:mirakuru_uuid"].starts_with(std::to_string(::getpid()) + ':'));
  const auto uuid = seen["env:mirakuru_uuid"];
  executor.start().wait();
  CHECK(test::read_inspect(file)["env:mirakuru_uuid"] == uuid);
}

TEST_CASE("Executor: standard input is a pipe that stays open until the stop") {
  mk::Executor executor{helper("stdin"),
                        [](const mk::Process& process) { return process.output() == "ready\n"; },
                        in_time};
  executor.start();
  CHECK(executor.running());
  CHECK(executor.stop().exit_code() == -SIGTERM);
  CHECK(executor.output() == "ready\n");
}

TEST_CASE("Executor: wrong arguments are refused before anything runs") {
  CHECK_THROWS_AS(mk::SimpleExecutor{""}, std::invalid_argument);
  CHECK_THROWS_AS(mk::SimpleExecutor{"echo 'open"}, std::invalid_argument);
  CHECK_THROWS_AS((mk::Executor{"true", mk::Signals{.stop = 0}}), std::invalid_argument);
  CHECK_THROWS_AS((mk::Executor{"true", mk::Signals{.kill = 1000}}), std::invalid_argument);
  CHECK_THROWS_AS((mk::Executor{"true", mk::SignalLadder{{SIGINT, -1s}}}), std::invalid_argument);
  CHECK_THROWS_AS((mk::Executor{"true", mk::TimeoutBudget{.start = -1s}}), std::invalid_argument);
  CHECK_THROWS_AS((mk::Executor{"true", mk::TimeoutBudget{.stop = -1ns}}), std::invalid_argument);
  mk::SimpleExecutor executor{"sleep 300"};
  executor.start();
  CHECK_THROWS_AS(executor.stop(-1), std::invalid_argument);
  CHECK(executor.running());
}

TEST_CASE("Executor: no descriptor is left open after a run") {
  const auto before = test::open_fds();
  {
    mk::SimpleExecutor executor{"sleep 300"};
    executor.start().stop().start();
  }
  CHECK(test::open_fds() == before);
}

namespace {

/// A user's check that throws from one of its members.
struct Thrower {
  enum class From { nowhere, call, held, holder, describe, all } from;
  bool is_held = false;

  bool operator()(const mk::Process&) const {
    may_throw(From::call);
    return false;
  }
  bool already_true() const {
    may_throw(From::held);
    return is_held;
  }
  std::string describe_conflict() const {
    may_throw(From::holder);
    return "a holder";
  }
  std::string describe() const {
    may_throw(From::describe);
    return "the end of days";
  }

 private:
  void may_throw(From here) const {
    if (from == here || from == From::all) throw std::out_of_range{"mine"};
  }
};

/// The error of a start that has to fail.
struct Failure {
  std::string message;
  std::exception_ptr nested;
};
template <class Error = mk::ExecutorError>
Failure failure_of(auto&& executor) {
  try {
    executor.start();
  } catch (const Error& error) {
    CHECK_FALSE(executor.running());
    CHECK(executor.pid() == 0);
    const auto* const carrier = dynamic_cast<const std::nested_exception*>(&error);
    return {test::placeless(error.what()), carrier != nullptr ? carrier->nested_ptr() : nullptr};
  }
  throw std::logic_error{"start() returned"};
}

}  // namespace

TEST_CASE("Executor: each exception of a check's members is nested in the error of the start") {
  using From = Thrower::From;
  const auto marker = mark();
  for (const auto from : {From::call, From::held, From::holder, From::all}) {
    const auto error =
        failure_of(mk::Executor{helper("sleep", "60000", marker),
                                Thrower{.from = from, .is_held = from == From::holder}, in_time});
    const auto& message = error.message;
    CHECK(message.starts_with("a readiness check failed: mine\n  command: "));
    const auto* name = from == From::all ? "check 1 (its describe() throws)" : "the end of days";
    CHECK(message.find(std::string{"waited for: "} + name + ", for ") != std::string::npos);
    REQUIRE(error.nested);
    CHECK_THROWS_AS(std::rethrow_exception(error.nested), std::out_of_range);
    CHECK(test::processes_matching(marker) == 0);
  }
}

TEST_CASE("Executor: a description that throws does not hide the error") {
  const Thrower check{.from = Thrower::From::describe};
  const auto late = failure_of<mk::TimeoutExpired>(
      mk::Executor{"sleep 300", check, mk::TimeoutBudget{.start = 50ms}});
  CHECK(late.message.find("waited for: check 1 (its describe() throws), for ") !=
        std::string::npos);
  const auto ended =
      failure_of<mk::ProcessExitedWithError>(mk::Executor{helper("exit", "3"), check, in_time});
  CHECK(ended.message.starts_with("exited with a non-zero code: 3 before it was ready\n"));
}

TEST_CASE("Executor: a check may throw any type") {
  const auto error =
      failure_of(mk::Executor{"sleep 300", [](const mk::Process&) -> bool { throw 42; }, in_time});
  CHECK(error.message.starts_with("a readiness check failed\n  command: sleep 300\n"));
  REQUIRE(error.nested);
  CHECK_THROWS_AS(std::rethrow_exception(error.nested), int);
}

TEST_CASE("Executor: a user's check that is already true prevents the start") {
  const test::TempDir directory;
  const auto spawned = directory / "spawned";
  const std::vector<std::string> command{"touch", spawned};

  const auto told = failure_of<mk::AlreadyRunning>(
      mk::Executor{command, Thrower{.from = Thrower::From::nowhere, .is_held = true}, in_time});
  CHECK(told.message == "a holder: it seems to be already running\n  command: touch " + spawned +
                            "\n  started at: L");

  struct Untold {
    bool operator()(const mk::Process&) { return true; }
    bool already_true() { return true; }
  };
  const auto untold = failure_of<mk::AlreadyRunning>(mk::Executor{command, Untold{}, in_time});
  CHECK(untold.message ==
        "a predicate (check 1) holds before the start: it seems to be already running\n"
        "  command: touch " +
            spawned + "\n  started at: L");
  CHECK_FALSE(test::exists(spawned));
}

TEST_CASE("Executor: messages name a check by its own description") {
  const auto error = failure_of<mk::TimeoutExpired>(
      mk::Executor{"sleep 300", [](const mk::Process&) { return true; },
                   Thrower{.from = Thrower::From::nowhere}, mk::TimeoutBudget{.start = 50ms}});
  CHECK(error.message.find("\n  waited for: the end of days, for ") != std::string::npos);
}

TEST_CASE("Executor: a restart that fails keeps nothing of the run before") {
  const test::TempDir directory;
  const auto program = directory / "program";
  REQUIRE(::symlink("/bin/sh", program.c_str()) == 0);
  bool is_held = false;
  struct Held {
    const bool* value;
    bool operator()(const mk::Process&) const { return true; }
    bool already_true() const { return *value; }
  };
  mk::Executor executor{{program, "-c", "echo printed; exec sleep 300"}, Held{&is_held}, in_time};
  const auto run = [&] {
    executor.start().wait_for([&] { return executor.output() == "printed\n"; }, 30s).stop();
    CHECK(executor.exit_code() == -SIGTERM);
  };
  run();
  is_held = true;
  CHECK_THROWS_AS(executor.start(), mk::AlreadyRunning);
  CHECK_FALSE(executor.exit_code());
  CHECK(executor.output().empty());
  CHECK(executor.timeline().checks.empty());

  is_held = false;
  run();
  ::unlink(program.c_str());
  CHECK_THROWS_AS(executor.start(), mk::SpawnError);
  CHECK_FALSE(executor.exit_code());
}

namespace {

/// A check whose probe throws at one of its functions.
struct Throwing {
  enum class At { make, poll, wait, close } at;

  struct Probe : mk::Probe {
    explicit Probe(At where) : at{where} {}
    void may_throw(At here) const {
      if (at == here) throw std::runtime_error{"of the probe"};
    }
    mk::Readiness poll(mk::TimePoint) override { return may_throw(At::poll), false; }
    void wait(mk::TimePoint now, mk::WaitSet& waits) const override {
      may_throw(At::wait);
      waits.until(now + 1ms);
    }
    void close(mk::TimePoint) override { may_throw(At::close); }
    At at;
  };
  std::unique_ptr<mk::Probe> probe(const mk::Process&) const {
    if (at == At::make) throw std::runtime_error{"of the probe"};
    return std::make_unique<Probe>(at);
  }
};

}  // namespace

TEST_CASE("Executor: an exception of a probe comes nested, whichever function throws it") {
  using At = Throwing::At;
  for (const auto at : {At::make, At::poll, At::wait, At::close}) {
    CAPTURE(static_cast<int>(at));
    // The other functions come long before the deadline, close() at it.
    const auto budget = at == At::close ? 50ms : 30s;
    mk::Executor executor{"sleep 300", Throwing{at}, mk::TimeoutBudget{budget, 5s}};
    const test::Elapsed elapsed;
    try {
      executor.start();
      FAIL("start() returned");
    } catch (const mk::ExecutorError& error) {
      CHECK(std::string{error.what()}.starts_with("a readiness check failed: of the probe\n"));
      CHECK_THROWS_AS(std::rethrow_if_nested(error), std::runtime_error);
    }
    CHECK(elapsed < 5s);
    CHECK_FALSE(executor.running());
  }
}

TEST_CASE("Executor: the start budget begins with the spawn, however long the checks took before") {
  struct Slow {
    bool already_true() const {
      const test::Elapsed elapsed;
      while (elapsed < 300ms) {
      }
      return false;
    }
    bool operator()(const mk::Process&) const { return true; }
  };
  mk::Executor executor{"sleep 300", Slow{}, [](const mk::Process&) { return true; },
                        mk::TimeoutBudget{.start = 100ms, .stop = 5s}};
  const auto before = std::chrono::steady_clock::now();
  executor.start();
  CHECK(executor.timeline().spawned - before >= 300ms);
}
