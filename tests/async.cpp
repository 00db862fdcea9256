// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <csignal>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

#include <mirakuru.hpp>
#include <mirakuru/async.hpp>

#include "errors.hpp"
#include "net.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;

namespace {

/// A service that listens after a while.
mk::TCPExecutor listener(const test::Port& port, const std::string& delay = "0") {
  return mk::TCPExecutor{{test::helper(), "listen", "127.0.0.1", port.str(), "delay=" + delay},
                         mk::TCPCheck{"127.0.0.1", port.number()},
                         in_time};
}

/// The result of an asynchronous operation.
struct Outcome {
  std::optional<std::exception_ptr> error = {};

  void operator()(std::exception_ptr result) { error = result; }
  [[nodiscard]] bool done() const { return error.has_value(); }
  [[nodiscard]] bool good() const { return done() && !*error; }
  [[nodiscard]] bool cancelled() const {
    if (!done() || !*error) return false;
    try {
      std::rethrow_exception(*error);
    } catch (const asio::system_error& thrown) {
      return thrown.code() == asio::error::operation_aborted;
    } catch (...) {
      return false;
    }
  }
};

}  // namespace

TEST_CASE("async_start: a callback is called, and async_stop may follow in it") {
  asio::io_context context;
  const test::Port port;
  auto executor = listener(port);
  Outcome start, stop;
  executor.async_start(asio::bind_executor(context, [&](std::exception_ptr error) {
    start(error);
    CHECK(executor.running());
    executor.async_stop(asio::bind_executor(context, std::ref(stop)));
  }));
  CHECK_FALSE(start.done());
  context.run();
  CHECK(start.good());
  CHECK(stop.good());
  CHECK_FALSE(executor.running());
}

TEST_CASE("async_start: a future works while another thread runs the context") {
  asio::io_context context;
  auto work = asio::make_work_guard(context);
  std::thread thread{[&] { context.run(); }};
  const test::Port port;
  auto executor = listener(port, "50");
  executor.async_start(asio::bind_executor(context, asio::use_future)).get();
  CHECK(executor.running());
  CHECK(test::connects("127.0.0.1", port.number()));
  executor.async_stop(asio::bind_executor(context, asio::use_future)).get();
  CHECK_FALSE(executor.running());
  work.reset();
  thread.join();
}

TEST_CASE("async_start: a future without an executor runs on Asio's own threads") {
  const test::Port port;
  auto executor = listener(port, "50");
  executor.async_start(asio::use_future).get();
  CHECK(executor.running());
  executor.async_stop(asio::use_future).get();
  CHECK_FALSE(executor.running());
}

TEST_CASE("async_start: several coroutines start on one context at once") {
  using namespace asio::experimental::awaitable_operators;
  asio::io_context context;
  const test::Port ports[3];
  auto a = listener(ports[0], "100"), b = listener(ports[1], "100"), c = listener(ports[2], "100");
  bool done = false;
  asio::co_spawn(
      context,
      [&]() -> asio::awaitable<void> {
        const test::Elapsed elapsed;
        co_await (a.async_start(asio::use_awaitable) && b.async_start(asio::use_awaitable) &&
                  c.async_start(asio::use_awaitable));
        CHECK(a.running());
        CHECK(b.running());
        CHECK(c.running());
        CHECK(elapsed < 5s);
        co_await (a.async_stop(asio::use_awaitable) && b.async_stop(asio::use_awaitable));
        CHECK_FALSE(a.running());
        CHECK(c.running());
        done = true;
      },
      asio::detached);
  context.run();
  CHECK(done);
}

TEST_CASE("async_start: many starts and stops run on a context with many threads") {
  asio::io_context context;
  std::vector<test::Port> ports(20);
  std::vector<mk::TCPExecutor> executors;
  for (const auto& port : ports) executors.push_back(listener(port, "20"));
  std::atomic<int> good = 0;
  for (auto& executor : executors)
    executor.async_start(asio::bind_executor(context, [&](std::exception_ptr error) {
      if (error) return;
      executor.async_stop(
          asio::bind_executor(context, [&](std::exception_ptr failed) { good += !failed; }));
    }));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { context.run(); });
  for (auto& thread : threads) thread.join();
  CHECK(good == 20);
}

TEST_CASE("async_start: errors are the same as in the blocking form") {
  asio::io_context context;
  const test::Port port;
  mk::TCPExecutor failing{{test::helper(), "exit", "3", "err=why\n"},
                          mk::TCPCheck{"127.0.0.1", port.number()},
                          in_time};
  auto future = failing.async_start(asio::bind_executor(context, asio::use_future));
  context.run();
  CHECK_THROWS_AS(future.get(), mk::ProcessExitedWithError);

  mk::TCPExecutor missing{"/no/such/program", mk::TCPCheck{"127.0.0.1", port.number()}, in_time};
  future = missing.async_start(asio::bind_executor(context, asio::use_future));
  context.restart();
  context.run();
  CHECK_THROWS_AS(future.get(), mk::SpawnError);

  mk::SimpleExecutor crashed{{test::helper(), "exit", "4"}};
  crashed.start().wait();
  future = crashed.async_stop(asio::bind_executor(context, asio::use_future));
  context.restart();
  context.run();
  CHECK_THROWS_AS(future.get(), mk::ProcessFinishedWithError);
}

TEST_CASE("async_start: a cancelled start leaves no process") {
  for (const auto type : {asio::cancellation_type::terminal, asio::cancellation_type::partial,
                          asio::cancellation_type::total, asio::cancellation_type::all}) {
    asio::io_context context;
    const test::Port port;
    auto executor = listener(port, "60000");
    asio::cancellation_signal signal;
    Outcome outcome;
    executor.async_start(asio::bind_cancellation_slot(
        signal.slot(), asio::bind_executor(context, std::ref(outcome))));
    // The check before the start comes first: wait until there is a process.
    while (executor.pid() == 0) REQUIRE(context.run_one() == 1);
    const auto pid = executor.pid();
    CHECK(test::alive(pid));
    signal.emit(type);
    context.run();
    CHECK(outcome.cancelled());
    CHECK_FALSE(executor.running());
    CHECK_FALSE(test::alive(pid));
  }
}

TEST_CASE("async_start: cancellation before the start begins is seen") {
  asio::io_context context;
  const test::Port port;
  auto executor = listener(port, "60000");
  asio::cancellation_signal signal;
  Outcome outcome;
  executor.async_start(
      asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, std::ref(outcome))));
  signal.emit(asio::cancellation_type::terminal);
  context.run();
  CHECK(outcome.cancelled());
  CHECK(executor.pid() == 0);
}

TEST_CASE("async_start: cancellation again, and after the end, does nothing") {
  asio::io_context context;
  const test::Port port;
  auto executor = listener(port);
  asio::cancellation_signal signal;
  Outcome outcome;
  executor.async_start(
      asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, std::ref(outcome))));
  context.run();
  CHECK(outcome.good());
  signal.emit(asio::cancellation_type::terminal);
  context.restart();
  context.run();
  CHECK(executor.running());
}

TEST_CASE("async_start: a start that loses against a timer is cancelled") {
  using namespace asio::experimental::awaitable_operators;
  asio::io_context context;
  const test::Port port;
  auto executor = listener(port, "60000");
  bool done = false;
  asio::co_spawn(
      context,
      [&]() -> asio::awaitable<void> {
        asio::steady_timer timer{context, 50ms};
        const auto result = co_await (executor.async_start(asio::use_awaitable) ||
                                      timer.async_wait(asio::use_awaitable));
        CHECK(result.index() == 1);
        CHECK_FALSE(executor.running());
        done = true;
      },
      asio::detached);
  context.run();
  CHECK(done);
}

TEST_CASE("async_stop: a cancelled stop goes over to SIGKILL") {
  asio::io_context context;
  mk::Executor executor{{test::helper(), "ignore", "TERM"},
                        [](const mk::Process& process) { return process.output() == "ready\n"; },
                        in_time};
  executor.start();
  asio::cancellation_signal signal;
  Outcome outcome;
  executor.async_stop(
      asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, std::ref(outcome))));
  const test::Elapsed elapsed;
  context.run_for(50ms);
  CHECK_FALSE(outcome.done());
  signal.emit(asio::cancellation_type::terminal);
  context.run();
  CHECK(outcome.good());
  CHECK(elapsed < 5s);
  CHECK(executor.exit_code() == -SIGKILL);
}

TEST_CASE("async_start: a running executor completes at once, as does async_stop of an idle one") {
  asio::io_context context;
  mk::SimpleExecutor executor{"sleep 300"};
  Outcome outcome;
  executor.async_stop(asio::bind_executor(context, std::ref(outcome)));
  CHECK_FALSE(outcome.done());  // not inside the initiating function
  context.run();
  CHECK(outcome.good());

  executor.start();
  const auto pid = executor.pid();
  outcome = {};
  executor.async_start(asio::bind_executor(context, std::ref(outcome)));
  context.restart();
  context.run();
  CHECK(outcome.good());
  CHECK(executor.pid() == pid);
}

TEST_CASE("async_start: a context may be destroyed in the middle of a start") {
  const test::Port port;
  pid_t pid = 0;
  {
    auto executor = listener(port, "60000");
    {
      asio::io_context context;
      executor.async_start(asio::bind_executor(context, [](std::exception_ptr) {}));
      const test::Elapsed elapsed;
      while (executor.pid() == 0 && elapsed < 20s) context.run_for(50ms);
      pid = executor.pid();
      CHECK(test::alive(pid));
    }
    CHECK(executor.running());  // the executor owns the process, not the operation
  }
  CHECK_FALSE(test::alive(pid));
}

namespace {

/// A check that waits for an event: here, for a timer.
struct AfterAWhile {
  std::chrono::milliseconds delay;

  asio::awaitable<void> operator()(const mk::Process&) const {
    asio::steady_timer timer{co_await asio::this_coro::executor, delay};
    co_await timer.async_wait(asio::use_awaitable);
  }
  [[nodiscard]] std::string describe() const { return "a while"; }
};

}  // namespace

TEST_CASE("Awaitable check: the executor is ready when it completes") {
  mk::Executor executor{"sleep 300", AfterAWhile{100ms}, in_time};
  const test::Elapsed elapsed;
  executor.start();
  CHECK(elapsed >= 100ms);
  CHECK(executor.running());
}

TEST_CASE("Awaitable check: the deadline and the end of the process cancel it") {
  mk::Executor late{"sleep 300", AfterAWhile{1h}, mk::TimeoutBudget{.start = 50ms}};
  try {
    late.start();
    FAIL("start() returned");
  } catch (const mk::TimeoutExpired& error) {
    CHECK(std::string{error.what()}.find("waited for: a while, for ") != std::string::npos);
  }
  mk::Executor ended{{test::helper(), "exit", "3", "after=50"}, AfterAWhile{1h}, in_time};
  CHECK_THROWS_AS(ended.start(), mk::ProcessExitedWithError);
}

TEST_CASE("Awaitable check: one with a result is called again until it is ready") {
  int asked = 0;
  mk::Executor executor{
      "sleep 300", [&](const mk::Process&) -> asio::awaitable<bool> { co_return ++asked == 3; },
      [&](const mk::Process&) -> asio::awaitable<mk::Readiness> {
        co_return ++asked == 5 ? mk::Readiness{true} : mk::not_ready("four");
      },
      in_time};
  executor.start();
  CHECK(asked == 5);
  mk::Executor never{"sleep 300",
                     [](const mk::Process&) -> asio::awaitable<mk::Readiness> {
                       co_return mk::not_ready("the moon is not full");
                     },
                     mk::TimeoutBudget{.start = 300ms}};
  try {
    never.start();
    FAIL("start() returned");
  } catch (const mk::TimeoutExpired& error) {
    CHECK(std::string{error.what()}.find("last answer: the moon is not full") != std::string::npos);
  }
}

TEST_CASE("Awaitable check: its exception is nested in the error of the start") {
  mk::Executor executor{"sleep 300",
                        [](const mk::Process&) -> asio::awaitable<void> {
                          throw std::out_of_range{"mine"};
                          co_return;
                        },
                        in_time};
  try {
    executor.start();
    FAIL("start() returned");
  } catch (const mk::ExecutorError& error) {
    CHECK(std::string{error.what()}.starts_with("a readiness check failed: mine\n"));
    CHECK_THROWS_AS(std::rethrow_if_nested(error), std::out_of_range);
  }
  CHECK_FALSE(executor.running());
}

TEST_CASE("Awaitable check: an asynchronous start waits for it, and can be cancelled") {
  asio::io_context context;
  mk::Executor executor{"sleep 300", AfterAWhile{20ms}, in_time};
  Outcome outcome;
  executor.async_start(asio::bind_executor(context, std::ref(outcome)));
  context.run();
  CHECK(outcome.good());

  mk::Executor cancelled{"sleep 300", AfterAWhile{1h}, in_time};
  asio::cancellation_signal signal;
  outcome = {};
  cancelled.async_start(
      asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, std::ref(outcome))));
  context.restart();
  context.run_for(30ms);
  CHECK_FALSE(outcome.done());
  signal.emit(asio::cancellation_type::total);
  context.run();
  CHECK(outcome.cancelled());
  CHECK_FALSE(cancelled.running());
}

TEST_CASE("Awaitable check: an exception of any type is reported") {
  mk::Executor executor{"sleep 300",
                        [](const mk::Process&) -> asio::awaitable<void> {
                          throw 42;
                          co_return;
                        },
                        in_time};
  try {
    executor.start();
    FAIL("start() returned");
  } catch (const mk::ExecutorError& error) {
    CHECK(std::string{error.what()}.starts_with("a readiness check failed\n"));
    CHECK_THROWS_AS(std::rethrow_if_nested(error), int);
  }
  CHECK_FALSE(executor.running());
}

namespace {

/// A check that ignores cancellation.
struct Stubborn {
  std::chrono::milliseconds delay;
  mk::Readiness answer = true;

  asio::awaitable<mk::Readiness> operator()(const mk::Process&) const {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation{});
    asio::steady_timer timer{co_await asio::this_coro::executor, delay};
    co_await timer.async_wait(asio::use_awaitable);
    co_return answer;
  }
};

}  // namespace

TEST_CASE("Awaitable check: one that ignores cancellation does not pass after the deadline") {
  const auto start_budget = mk::TimeoutBudget{.start = 50ms};
  mk::Executor late{"sleep 300", Stubborn{.delay = 300ms}, start_budget};
  CHECK_THROWS_AS(late.start(), mk::TimeoutExpired);
  CHECK_FALSE(late.running());

  mk::Executor ended{{test::helper(), "exit", "3", "after=50"}, Stubborn{.delay = 300ms}, in_time};
  CHECK_THROWS_AS(ended.start(), mk::ProcessExitedWithError);

  // Long enough that the attempt begins in time on a busy machine.
  mk::Executor telling{"sleep 300", Stubborn{.delay = 900ms, .answer = mk::not_ready("half way")},
                       mk::TimeoutBudget{.start = 500ms}};
  try {
    telling.start();
    FAIL("start() returned");
  } catch (const mk::TimeoutExpired& error) {
    CHECK(std::string{error.what()}.find("last answer: half way") != std::string::npos);
  }

  asio::io_context context;
  auto future = late.async_start(asio::bind_executor(context, asio::use_future));
  context.run();
  CHECK_THROWS_AS(future.get(), mk::TimeoutExpired);
}

TEST_CASE(
    "async_wait: completes at the end of the command, and a cancelled one leaves it running") {
  asio::io_context context;
  mk::SimpleExecutor ending{test::helper("exit", "3", "after=50")};
  ending.start();
  Outcome outcome;
  ending.async_wait(asio::bind_executor(context, std::ref(outcome)));
  context.run();
  CHECK(outcome.good());
  CHECK(ending.exit_code() == 3);

  mk::SimpleExecutor waiting{"sleep 300"};
  waiting.start();
  asio::cancellation_signal signal;
  outcome = {};
  waiting.async_wait(
      asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, std::ref(outcome))));
  context.restart();
  context.run_for(20ms);
  CHECK_FALSE(outcome.done());
  signal.emit(asio::cancellation_type::terminal);
  context.run();
  CHECK(outcome.cancelled());
  CHECK(waiting.running());
}

TEST_CASE("async_wait_for: a check and a predicate, which fail as in the blocking form") {
  asio::io_context context;
  mk::SimpleExecutor executor{mk::Shell{"sleep 0.2; echo reconnected; exec sleep 300"}};
  executor.start();
  Outcome banner, predicate, late;
  executor.async_wait_for(mk::BannerCheck{"reconnected"},
                          asio::bind_executor(context, std::ref(banner)));
  context.run();
  CHECK(banner.good());
  context.restart();
  int asked = 0;
  executor.async_wait_for([&asked, only = std::make_unique<int>(3)] { return ++asked >= *only; },
                          10s, asio::bind_executor(context, std::ref(predicate)));
  context.run();
  CHECK(predicate.good());
  CHECK(asked == 3);
  context.restart();
  executor.async_wait_for([] { return mk::not_ready("no"); }, 20ms,
                          asio::bind_executor(context, std::ref(late)));
  context.run();
  REQUIRE(late.done());
  CHECK_THROWS_AS(std::rethrow_exception(*late.error), mk::TimeoutExpired);
  CHECK_FALSE(executor.running());
}

TEST_CASE("async_wait_for: a cancelled wait leaves the process alone") {
  asio::io_context context;
  mk::SimpleExecutor executor{"sleep 300"};
  executor.start();
  asio::cancellation_signal signal;
  Outcome outcome;
  executor.async_wait_for(
      mk::BannerCheck{"never"},
      asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, std::ref(outcome))));
  context.run_for(20ms);
  CHECK_FALSE(outcome.done());
  signal.emit(asio::cancellation_type::terminal);
  context.run();
  CHECK(outcome.cancelled());
  CHECK(executor.running());
}

TEST_CASE("Awaitable check: an arm whose attempt is under way when another one passes") {
  const auto slow = [](const mk::Process&) -> asio::awaitable<void> {
    asio::steady_timer timer{co_await asio::this_coro::executor, 300s};
    co_await timer.async_wait(asio::use_awaitable);
  };
  {
    mk::Executor blocking{mk::Shell{"echo ready; exec sleep 300"},
                          mk::AnyOf{slow, mk::BannerCheck{"ready"}}, mk::FailsOn{slow}, in_time};
    CHECK(blocking.start().running());
  }
  asio::io_context context;
  mk::Executor executor{mk::Shell{"echo ready; exec sleep 300"},
                        mk::AnyOf{slow, mk::BannerCheck{"ready"}}, mk::FailsOn{slow}, in_time};
  Outcome outcome;
  executor.async_start(asio::bind_executor(context, std::ref(outcome)));
  const test::Elapsed elapsed;
  context.run();  // to the end of the attempts, too
  CHECK(outcome.good());
  CHECK(elapsed < 20s);
}

TEST_CASE("async_kill: ends the tree by the kill signal") {
  asio::io_context context;
  mk::SimpleExecutor executor{"sleep 300"};
  executor.start();
  Outcome outcome;
  executor.async_kill(asio::bind_executor(context, std::ref(outcome)));
  context.run();
  CHECK(outcome.good());
  CHECK(executor.exit_code() == -SIGKILL);
}

TEST_CASE("async_start: the stop budget of a cancelled start begins with the cancellation") {
  asio::io_context context;
  mk::Executor executor{test::helper("trap", "TERM", "exit=0"), mk::BannerCheck{"never"},
                        mk::Signals{.kill = SIGTERM}, mk::TimeoutBudget{.start = 30s, .stop = 10s}};
  asio::cancellation_signal signal;
  Outcome outcome;
  executor.async_start(
      asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, std::ref(outcome))));
  const test::Elapsed elapsed;
  while (executor.pid() == 0 || executor.output() != "ready\n") {
    context.run_for(1ms);
    REQUIRE(elapsed < 20s);
  }
  signal.emit(asio::cancellation_type::terminal);
  context.run();
  CHECK(outcome.cancelled());
  CHECK(executor.exit_code() == 0);
}
