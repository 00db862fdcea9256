// SPDX-License-Identifier: BSL-1.0
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <mirakuru.hpp>
#include <mirakuru/async.hpp>
#include <mirakuru/group.hpp>
#include <mirakuru/kit.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "process.hpp"
#include "time.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;

namespace {

/// Is ready after a while, and writes its name to `log` when it begins and when it ends.
auto service(const std::string& name, const mk::TempDir& log, const std::string& delay = "0") {
  const auto write = "echo " + name;
  const auto file = " >> " + (log / "log").string();
  return mk::Executor{
      mk::Shell{"trap '" + write + "- " + file + "; exit 0' TERM; " + write + "+ " + file +
                "; sleep " + delay + "; echo ready; while :; do sleep 0.01; done"},
      mk::BannerCheck{"ready"}, in_time};
}

std::vector<std::string> lines(const mk::TempDir& log) {
  std::vector<std::string> all;
  std::ifstream file{log / "log"};
  for (std::string line; std::getline(file, line);) all.push_back(line);
  return all;
}

std::size_t place(const std::vector<std::string>& all, const std::string& line) {
  const auto found = std::ranges::find(all, line);
  REQUIRE_MESSAGE(found != all.end(), line);
  return static_cast<std::size_t>(found - all.begin());
}

}  // namespace

TEST_CASE("Group: a member starts after its needs, and ends before them") {
  const mk::TempDir log;
  auto db = service("db", log), cache = service("cache", log, "0.1");
  mk::Group stack;
  stack.add(db);
  stack.add(cache);
  auto& api = stack.add(service("api", log), mk::needs(db, cache));
  stack.start();
  CHECK(stack.running());
  CHECK(stack.size() == 3);
  CHECK_NOTHROW(stack.check_alive());
  stack.stop();
  CHECK_FALSE(stack.running());
  CHECK(api.exit_code() == 0);
  const auto all = lines(log);
  REQUIRE(all.size() == 6);
  CHECK(place(all, "api+") == 2);
  CHECK(place(all, "api-") == 3);
  CHECK_THROWS_AS(stack.check_alive(), mk::ExecutorError);
}

TEST_CASE("Group: independent members start at once") {
  const mk::TempDir log;
  mk::Group stack;
  // Each is ready when all have begun.
  const auto file = (log / "log").string();
  for (int i = 0; i < 5; ++i)
    stack.add(mk::Executor{mk::Shell{"echo begun >> " + file + "; until [ $(wc -l < " + file +
                                     ") -eq 5 ]; do sleep 0.01; done; echo ready; exec sleep 300"},
                           mk::BannerCheck{"ready"}, in_time});
  stack.start();
  const auto timeline = stack.timeline();
  CHECK(timeline.members.size() == 5);
  CHECK(timeline.critical_path().size() == 1);
  CHECK(timeline.members[0].checks == std::vector<std::string>{"a line with 'ready'"});
}

TEST_CASE("Group: a task has ended with 0 before those that need it start") {
  const mk::TempDir log;
  const auto file = (log / "log").string();
  mk::Group stack;
  auto& migration = stack.add(
      mk::Executor{mk::Shell{"sleep 0.05; echo migrated >> " + file}, mk::ExitCheck{}, in_time});
  stack.add(service("api", log), mk::needs(migration));
  stack.start();
  CHECK(lines(log) == std::vector<std::string>{"migrated", "api+"});
  CHECK(stack.running());
  CHECK_NOTHROW(stack.check_alive());
}

TEST_CASE("Group: a task that fails fails the group, with its output") {
  const mk::TempDir log;
  mk::Group stack;
  auto& db = stack.add(service("db", log));
  auto& migration =
      stack.add(mk::Executor{mk::Shell{"echo no such table; exit 3"}, mk::ExitCheck{}, in_time},
                mk::needs(db));
  stack.add(service("api", log), mk::needs(migration));
  const auto text = test::message_of<mk::ProcessExitedWithError>([&] { stack.start(); });
  CHECK(text.find("no such table") != text.npos);
  CHECK(lines(log) == std::vector<std::string>{"db+", "db-"});
  CHECK_FALSE(db.running());
}

TEST_CASE("Group: a member that dies fails those that wait for it, at once") {
  const mk::TempDir log;
  mk::Group stack;
  auto& db =
      stack.add(mk::Executor{mk::Shell{"echo ready; until grep -qs api+ " + (log / "log").string() +
                                       "; do sleep 0.01; done; echo db is broken; exit 4"},
                             mk::BannerCheck{"ready"}, in_time});
  stack.add(service("api", log, "1000"), mk::needs(db));
  const auto begin = std::chrono::steady_clock::now();
  const auto text = test::message_of<mk::ProcessExitedWithError>([&] { stack.start(); });
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
  CHECK(text.find("exited with a non-zero code: 4 while others of its group started") == 0);
  CHECK(text.find("db is broken") != text.npos);
}

TEST_CASE("Group: unknown needs and cycles are refused by name") {
  mk::Executor a{{"sleep", "1001"}}, b{{"sleep", "1002"}}, c{{"sleep", "1003"}};
  mk::Group unknown;
  unknown.add(a, mk::needs(b));
  CHECK_THROWS_WITH_AS(unknown.start(), "sleep 1001 needs sleep 1002, which is not in the group",
                       std::invalid_argument);
  mk::Group cycle;
  cycle.add(a, mk::needs(c));
  cycle.add(b, mk::needs(a));
  cycle.add(c, mk::needs(b));
  CHECK_THROWS_WITH_AS(
      cycle.start(),
      "a cycle of needs: sleep 1001 needs sleep 1003 needs sleep 1002 needs sleep 1001",
      std::invalid_argument);
  mk::Group itself;
  itself.add(a, mk::needs(a));
  CHECK_THROWS_WITH_AS(itself.start(), "a cycle of needs: sleep 1001 needs sleep 1001",
                       std::invalid_argument);
  CHECK_FALSE(a.running());
}

TEST_CASE("Group: a deadline for all is named in the message of the member at hand") {
  const mk::TempDir log;
  mk::Group stack;
  auto& db = stack.add(service("db", log));
  stack.add(service("api", log, "1000"), mk::needs(db));
  const auto text = test::message_of<mk::TimeoutExpired>([&] { stack.start(1s); });
  CHECK(text.find("echo api+") != text.npos);
  CHECK(text.find("note: the start of its group had 1 s for all of it") != text.npos);
  CHECK_FALSE(stack.running());
}

TEST_CASE("Group: a member's own budget holds besides") {
  const mk::TempDir log;
  mk::Group stack;
  stack.add(
      mk::Executor{{"sleep", "1000"}, mk::BannerCheck{"ready"}, mk::TimeoutBudget{.start = 50ms}});
  const auto text = test::message_of<mk::TimeoutExpired>([&] { stack.start(1h); });
  CHECK(text.find("timed out after 50 ms") == 0);
  CHECK(text.find("of its group") == text.npos);
}

TEST_CASE("Group: the destructor ends members in reverse, also those that it refers to") {
  const mk::TempDir log;
  auto db = service("db", log);
  {
    mk::Group stack;
    stack.add(db);
    stack.add(service("api", log), mk::needs(db));
    stack.start();
  }
  CHECK_FALSE(db.running());
  CHECK(lines(log) == std::vector<std::string>{"db+", "api+", "api-", "db-"});
}

TEST_CASE("Group: a member that runs already stays when the start fails") {
  const mk::TempDir log;
  auto db = service("db", log);
  db.start();
  mk::Group stack;
  stack.add(db);
  stack.add(mk::Executor{mk::Shell{"exit 1"}, mk::BannerCheck{"ready"}, in_time}, mk::needs(db));
  CHECK_THROWS_AS(stack.start(), mk::ProcessExitedWithError);
  CHECK(db.running());
}

TEST_CASE("Group: an error of a stop is told when all are gone") {
  mk::Executor bad{mk::Shell{"trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done"},
                   mk::BannerCheck{"ready"}, in_time};
  mk::Executor good{{"sleep", "1000"}};
  mk::Group stack;
  stack.add(good);
  stack.add(bad, mk::needs(good));
  stack.start();
  const auto text = test::message_of<mk::ProcessFinishedWithError>([&] { stack.stop(); });
  CHECK(text.find(": 7") != text.npos);
  CHECK_FALSE(good.running());
  CHECK_NOTHROW(stack.stop());
  stack.start();
  CHECK_NOTHROW(stack.kill());
  CHECK_FALSE(stack.running());
}

TEST_CASE("Group: it may start again after a stop") {
  const mk::TempDir log;
  mk::Group stack;
  auto& db = stack.add(service("db", log));
  stack.add(service("api", log), mk::needs(db));
  for (int i = 0; i < 3; ++i) stack.start().stop();
  CHECK(lines(log).size() == 12);
}

TEST_CASE("Group: nothing is left when the owner is killed") {
  const mk::TempDir log;
  const pid_t owner = ::fork();
  if (owner == 0) {
    mk::Group stack;
    auto& db = stack.add(service("db", log));
    stack.add(service("api", log), mk::needs(db));
    stack.start();
    ::kill(::getpid(), SIGKILL);
  }
  ::waitpid(owner, nullptr, 0);
  CHECK(test::eventually([&] { return lines(log).size() == 4; }));
}

TEST_CASE("Group: the asynchronous forms start and stop, and a cancellation leaves nothing") {
  const mk::TempDir log;
  mk::Group stack;
  auto& db = stack.add(service("db", log));
  auto& api = stack.add(service("api", log), mk::needs(db));
  asio::io_context context{1};
  std::optional<std::exception_ptr> started, stopped;
  stack.async_start(asio::bind_executor(context, [&](std::exception_ptr error) {
    started = error;
    CHECK(api.running());
    stack.async_stop(asio::bind_executor(context, [&](std::exception_ptr end) { stopped = end; }));
  }));
  context.run();
  CHECK(started == std::exception_ptr{});
  CHECK(stopped == std::exception_ptr{});
  CHECK_FALSE(stack.running());

  mk::Group slow;
  auto& base = slow.add(service("base", log));
  auto& late = slow.add(service("late", log, "1000"), mk::needs(base));
  asio::cancellation_signal signal;
  std::optional<std::exception_ptr> ended;
  slow.async_start(asio::bind_cancellation_slot(
      signal.slot(),
      asio::bind_executor(context, [&](std::exception_ptr error) { ended = error; })));
  asio::steady_timer timer{context};
  const std::function<void()> cancel_when_late_begins = [&] {
    timer.expires_after(5ms);
    timer.async_wait([&](auto) {
      if (ended) return;
      if (std::ranges::count(lines(log), "late+") == 0) return cancel_when_late_begins();
      signal.emit(asio::cancellation_type::total);
    });
  };
  cancel_when_late_begins();
  context.restart();
  context.run();
  REQUIRE(ended);
  CHECK_THROWS_AS(std::rethrow_exception(*ended), asio::system_error);
  CHECK_FALSE(base.running());
  CHECK_FALSE(late.running());
}

TEST_CASE("Group: a member with a coroutine starts beside the others") {
  const mk::TempDir log;
  mk::Group stack;
  stack.add(service("plain", log));
  stack.add(mk::Executor{{"sleep", "1000"}, [](const mk::Process&) -> asio::awaitable<void> {
                           asio::steady_timer timer{co_await asio::this_coro::executor, 20ms};
                           co_await timer.async_wait(asio::use_awaitable);
                         }});
  stack.start();
  CHECK(stack.running());
}
