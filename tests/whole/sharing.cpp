// SPDX-License-Identifier: BSL-1.0
// A shared service together with the checks, policies and groups of the other axes.
#include <sys/resource.h>
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/async.hpp>
#include <mirakuru/group.hpp>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include "child.hpp"
#include "errors.hpp"
#include "files.hpp"
#include "net.hpp"
#include "process.hpp"
#include "programs.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;
using test::Program;
using test::Wire;

namespace {

/// A name for one test, which is also in the words of its services.
struct Name {
  std::string mark = test::mark();

  mk::Shared shared(const std::string& part = {}) const {
    return {.name = mark + part, .linger = 100ms};
  }
  mk::Shell line(const std::string& script) const { return {script + "\nexit # " + mark}; }
  /// A service that says "ready" and runs on, with further policies.
  template <class... Policies>
  auto ready_service(const std::string& part = {}, Policies... policies) const {
    return mk::Executor{line("echo ready; sleep 300"), in_time, mk::BannerCheck{"ready"},
                        shared(part), std::move(policies)...};
  }
  int count() const { return test::commands_matching(mark); }
  bool all_gone() const {
    return test::eventually([&] { return test::processes_matching(mark) == 0; });
  }
};

/// A program that starts or joins what `make()` makes, says the leader, and waits for a word. Then
/// it says `after(executor)`.
template <class Make, class After>
Program user_of(Make make, After after) {
  return Program{[=](const Wire& wire) {
    auto service = make();
    service.start();
    wire.say(std::to_string(service.pid()));
    while (!wire.hear().empty()) wire.say(after(service));
  }};
}
template <class Make>
Program user_of(Make make) {
  return user_of(make, [](auto& service) { return std::string{service.running() ? "runs" : ""}; });
}

/// Two programs that use one service, which goes with the last of them.
struct Two {
  template <class Make, class After>
  Two(const Name& its_name, Make make, After after)
      : name{its_name}, first{user_of(make, after)}, second{user_of(make, after)} {
    const auto leader = first.hear();
    CHECK(std::atoi(leader.c_str()) > 0);
    CHECK(second.hear() == leader);
  }
  void end() {
    first.kill();
    second.kill();
    CHECK(name.all_gone());
  }

  const Name& name;
  Program first, second;
};

/// Checks that two programs use one service, which outlives its starter.
template <class Make>
void check_shared(const Name& name, Make make) {
  auto first = user_of(make), second = user_of(make);
  const auto leader = first.hear();
  CAPTURE(leader);
  CHECK(std::atoi(leader.c_str()) > 0);
  CHECK(second.hear() == leader);
  CHECK(name.count() >= 1);
  auto third = user_of(make);
  CHECK(third.hear() == leader);
  first.kill();
  for (const auto* one : {&second, &third}) {
    one->say("look");
    CHECK(one->hear() == "runs");
  }
  second.kill();
  third.kill();
  CHECK(name.all_gone());
}

}  // namespace

// Checks -----------------------------------------------------------------------------------------

TEST_CASE("Shared and NotifyCheck: the service tells its starter, and all join") {
  const Name name;
  check_shared(name, [&] {
    return mk::Executor{test::helper("notify", "READY=1", "delay=100", name.mark), in_time,
                        mk::NotifyCheck{}, name.shared()};
  });
}

TEST_CASE("Shared and FdCheck: the service tells its starter, and all join") {
  const Name name;
  check_shared(name, [&] {
    return mk::Executor{name.line("sleep 0.1; echo >&3; exec 3>&-; sleep 300"), in_time,
                        mk::FdCheck{}, name.shared()};
  });
}

TEST_CASE("Shared and ExecCheck: the command runs for the starter alone") {
  const Name name;
  const test::TempDir directory;
  const auto runs = directory / "runs";
  check_shared(name, [&] {
    return mk::Executor{name.line("sleep 300"), in_time,
                        mk::ExecCheck{mk::Shell{"echo run >>'" + runs + "'"}}, name.shared()};
  });
  CHECK(test::slurp(runs) == "run\n");
}

TEST_CASE("Shared and composed checks: their names are compared, too") {
  const Name name;
  const auto make = [&](const std::string& text) {
    return mk::Executor{name.line("echo ready; echo over; sleep 300"), in_time,
                        mk::AllOf{mk::BannerCheck{"ready"}, mk::BannerCheck{text}},
                        mk::FailsOn{mk::BannerCheck{"FATAL"}}, name.shared()};
  };
  auto first = user_of([&] { return make("over"); });
  CHECK(std::atoi(first.hear().c_str()) > 0);
  auto other = make("other");
  CHECK(test::contains(test::message_of<mk::ExecutorError>([&] { other.start(); }),
                       "has another check: "));
  CHECK_NOTHROW(make("over").start());
  first.kill();
  CHECK(name.all_gone());
}

TEST_CASE("Shared and port 0: all know the port that the service has chosen") {
  const Name name;
  const auto make = [&] {
    return mk::Executor{test::helper("listen", "127.0.0.1", "0", name.mark), in_time,
                        mk::TCPCheck{"127.0.0.1", 0}, name.shared()};
  };
  const auto port = [](auto& service) {
    service.wait_for(mk::TCPCheck{"127.0.0.1", 0}, 10s);
    return std::to_string(service.port());
  };
  Two programs{name, make, port};
  programs.first.say("port");
  const auto expected = programs.first.hear();
  CHECK(test::connects("127.0.0.1", std::atoi(expected.c_str())));
  programs.first.kill();
  programs.second.say("port");
  CHECK(programs.second.hear() == expected);
  programs.end();
}

TEST_CASE("Shared and wait_for: one that has joined waits for what comes") {
  const Name name;
  const auto make = [&] {
    return mk::Executor{name.line("echo ready; trap 'echo again' USR1; "
                                  "while :; do sleep 0.05; done"),
                        in_time, mk::BannerCheck{"ready"}, name.shared()};
  };
  const auto wait = [](auto& service) {
    ::kill(service.pid(), SIGUSR1);
    service.wait_for(mk::BannerCheck{"again"}, 10s);
    return service.output();
  };
  Two programs{name, make, wait};
  programs.second.say("wait");
  CHECK(programs.second.hear() == "ready\nagain\n");
  programs.end();
}

TEST_CASE("Shared and a coroutine: it runs for the starter, and the other joins meanwhile") {
  const Name name;
  check_shared(name, [&] {
    return mk::Executor{name.line("sleep 300"), in_time, name.shared(),
                        [](const mk::Process&) -> asio::awaitable<void> {
                          asio::steady_timer timer{co_await asio::this_coro::executor, 100ms};
                          co_await timer.async_wait(asio::use_awaitable);
                        }};
  });
}

// Policies ---------------------------------------------------------------------------------------

TEST_CASE("Shared and CgroupSpawner: the group goes with the last program") {
  try {
    mk::Executor{"sleep 300", mk::CgroupSpawner{}}.start();
  } catch (const mk::SpawnError& error) {
    MESSAGE("no cgroup to test with: ", error.what());
    return;
  }
  const Name name;
  check_shared(name, [&] {
    return mk::Executor{name.line("sleep 300"), in_time, mk::CgroupSpawner{}, name.shared()};
  });
}

TEST_CASE("Shared and ToFile: all read the starter's file") {
  const Name name;
  const test::TempDir directory;
  const auto make = [&] {
    return name.ready_service({}, mk::ToFile{directory / "out", directory / "err"});
  };
  Two programs{name, make, [](auto& service) { return service.output(); }};
  programs.second.say("read");
  CHECK(programs.second.hear() == "ready\n");
  CHECK(test::slurp(directory / "out") == "ready\n");
  auto other = name.ready_service({}, mk::ToFile{directory / "other"});
  CHECK(test::contains(test::message_of<mk::ExecutorError>([&] { other.start(); }),
                       "has another output: kept in " + (directory / "out") + " and " +
                           (directory / "err") + "; this program wants kept in " +
                           (directory / "other")));
  programs.end();
}

TEST_CASE("Shared and Discard: it is shared without an output") {
  const Name name;
  check_shared(name, [&] {
    return mk::Executor{name.line("sleep 300"), in_time, mk::Discard{}, name.shared()};
  });
}

TEST_CASE("Shared and input: the starter writes, and one that has joined is told why it cannot") {
  const Name name;
  const auto make = [&] {
    return mk::Executor{name.line("echo ready; cat"), in_time, mk::BannerCheck{"ready"},
                        name.shared()};
  };
  const auto write = [](auto& service) -> std::string {
    try {
      service.write("hello\n");
      service.wait_for([](const mk::Process& process) { return process.output() != "ready\n"; },
                       10s);
      return service.output();
    } catch (const mk::ExecutorError& error) {
      return error.what();
    }
  };
  auto first = user_of(make, write);
  const auto leader = first.hear();  // it has started it
  auto second = user_of(make, write);
  CHECK(second.hear() == leader);
  second.say("write");
  CHECK(
      second.hear().starts_with("cannot write to its standard input: another program has "
                                "started it, and has its input\n"));
  first.say("write");
  CHECK(first.hear() == "ready\nhello\n");
  first.kill();
  second.kill();
  CHECK(name.all_gone());
}

TEST_CASE("Shared and InputText: each program gives the same text, and one is read") {
  const Name name;
  const auto make = [&] {
    return mk::Executor{name.line("cat; sleep 300"), in_time, mk::BannerCheck{"hello"},
                        mk::InputText{"hello\n"}, name.shared()};
  };
  check_shared(name, make);
}

TEST_CASE("Shared and Limits: another limit is an error that says so") {
  const Name name;
  const auto make = [&](rlim_t files) {
    return mk::Executor{name.line("echo $(ulimit -n); sleep 300"), in_time,
                        mk::BannerCheck{"[0-9]+"}, mk::Limits{.files = files}, name.shared()};
  };
  const auto read = [](auto& service) { return service.output(); };
  auto first = user_of([&] { return make(100); }, read);
  CHECK(std::atoi(first.hear().c_str()) > 0);
  first.say("read");
  CHECK(first.hear() == "100\n");
  auto other = make(200);
  CHECK(test::contains(test::message_of<mk::ExecutorError>([&] { other.start(); }),
                       "has another limit " + std::to_string(RLIMIT_NOFILE) + ": 100, "));
  first.kill();
  CHECK(name.all_gone());
}

TEST_CASE("Shared and PostMortem: one that has joined tells the end, too") {
  const Name name;
  const test::TempDir directory;
  const auto go = directory / "go";
  const auto make = [&] {
    return mk::Executor{
        name.line("echo ready; until [ -e '" + go + "' ]; do sleep 0.02; done; kill -ABRT $$"),
        in_time, mk::BannerCheck{"ready"}, mk::PostMortem{}, name.shared()};
  };
  const auto look = [](auto& service) {
    return test::message_of<mk::ProcessExitedWithError>([&] {
      service.wait(10s);
      service.check_alive();
    });
  };
  Two programs{name, make, look};
  {
    const auto file = mk::detail::UniqueFd{::creat(go.c_str(), 0600)};
  }
  for (auto* one : {&programs.first, &programs.second}) {
    one->say("look");
    CHECK(one->hear().starts_with("ended by signal 6 (Aborted) while the test needed it"));
  }
  programs.end();
}

TEST_CASE("Shared and keep_on_failure: each program keeps a copy of the output") {
  const Name name;
  const test::TempDir directory;
  const auto make = [&](const std::string& place) {
    return name.ready_service({}, mk::Capture{.keep_on_failure = directory / place});
  };
  auto one = make("one"), two = make("two");
  mk::start_all(one, two);
  const auto text =
      test::message_of<mk::TimeoutExpired>([&] { two.wait_for(mk::BannerCheck{"never"}, 20ms); });
  CHECK(test::contains(text, "its output is kept in " + (directory / "two")));
  one.stop();
  two.stop();
  CHECK(name.all_gone());
}

TEST_CASE("Shared and a user: the service runs as that one for all" *
          doctest::skip(::geteuid() != 0)) {
  const Name name;
  check_shared(name, [&] {
    return mk::Executor{
        mk::Command{.argv = "sleep 300; exit # " + name.mark, .user = "nobody", .shell = true},
        in_time, name.shared()};
  });
}

// Groups -----------------------------------------------------------------------------------------

TEST_CASE("Shared in an AnyExecutor: it joins in a range of executors") {
  const Name name;
  std::vector<mk::AnyExecutor> one, two;
  for (const char* part : {"a", "b", "c"})
    for (auto* all : {&one, &two}) all->push_back(name.ready_service(part));
  mk::start_all(one);
  mk::start_all(two);
  for (std::size_t i = 0; i < one.size(); ++i) {
    CHECK(two[i].pid() == one[i].pid());
    CHECK(two[i].output() == "ready\n");
  }
  mk::stop_all(one);
  for (auto& any : one) CHECK_FALSE(any.running());
  for (auto& any : two) CHECK_NOTHROW(any.check_alive());
  mk::stop_all(two);
  CHECK(name.all_gone());
}

TEST_CASE("Shared in a Group: the stacks of two programs share each member") {
  const Name name;
  const auto program = [&] {
    return Program{[&](const Wire& wire) {
      const auto make = [&](const std::string& part) {
        return mk::Executor{name.line("sleep 0.1; echo ready; sleep 300"), in_time,
                            mk::BannerCheck{"ready"}, name.shared(part)};
      };
      mk::Group stack;
      auto& db = stack.add(make("db"));
      auto& api = stack.add(make("api"), mk::needs(db));
      stack.start();
      wire.say(std::to_string(db.pid()) + ' ' + std::to_string(api.pid()));
      while (!wire.hear().empty()) {
        stack.check_alive();
        wire.say(stack.running() ? stack.timeline().text() : "");
      }
      stack.stop();
    }};
  };
  auto first = program(), second = program();
  const auto pids = first.hear();
  CHECK(test::contains(pids, " "));
  CHECK(second.hear() == pids);
  auto third = program();
  CHECK(third.hear() == pids);
  first.kill();
  for (auto* one : {&second, &third}) {
    one->say("look");
    CHECK(test::contains(one->hear(), "critical path"));
  }
  CHECK(name.count() >= 2);
  second.kill();
  third.kill();
  CHECK(name.all_gone());
}

TEST_CASE("Shared in a Group: a start that fails leaves it to the others") {
  const Name name;
  const auto make = [&] { return name.ready_service(); };
  auto first = user_of(make);
  CHECK(std::atoi(first.hear().c_str()) > 0);
  mk::Group stack;
  auto& db = stack.add(make());
  stack.add(mk::Executor{mk::Shell{"exit 3"}, mk::ExitCheck{}, in_time}, mk::needs(db));
  CHECK_THROWS_AS(stack.start(), mk::ProcessExitedWithError);
  CHECK_FALSE(db.running());
  first.say("look");
  CHECK(first.hear() == "runs");
  first.kill();
  CHECK(name.all_gone());
}

TEST_CASE("Shared in a Group: one deadline for all holds while it waits for another program") {
  const Name name;
  auto first = Program{[&](const Wire& wire) {
    mk::Executor slow{name.line("sleep 300"), in_time, mk::BannerCheck{"ready"}, name.shared()};
    wire.say("starts");
    slow.start();
  }};
  CHECK(first.hear() == "starts");
  REQUIRE(test::eventually([&] { return name.count() >= 1; }));
  mk::Group stack;
  stack.add(mk::Executor{name.line("sleep 300"), in_time, mk::BannerCheck{"ready"}, name.shared()});
  const test::Elapsed elapsed;
  const auto text = test::message_of<mk::TimeoutExpired>([&] { stack.start(300ms); });
  CHECK(elapsed < 20s);
  CHECK(test::contains(text, "the shared service '" + name.mark + "' is not ready after "));
  CHECK(test::contains(text, "note: the start of its group had 300 ms for all of it"));
  first.kill();
  CHECK(name.all_gone());
}

TEST_CASE("Shared in a Group: the asynchronous form joins, and a cancellation leaves") {
  const Name name;
  const auto make = [&] { return name.ready_service(); };
  auto first = user_of(make);
  const auto leader = first.hear();
  mk::Group stack;
  auto& db = stack.add(make());
  asio::io_context context{1};
  std::exception_ptr error;
  stack.async_start(asio::bind_executor(context, [&](std::exception_ptr e) { error = e; }));
  context.run();
  CHECK_FALSE(error);
  CHECK(std::to_string(db.pid()) == leader);
  stack.async_stop(asio::bind_executor(context, [&](std::exception_ptr e) { error = e; }));
  context.restart();
  context.run();
  CHECK_FALSE(error);
  CHECK_FALSE(db.running());
  first.say("look");
  CHECK(first.hear() == "runs");
  first.kill();
  CHECK(name.all_gone());
}
