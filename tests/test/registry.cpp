// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/test/service.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mirakuru::detail::Registry;
using test::helper;

namespace {

std::vector<std::string> printed;

/// A run of tests, for which this file is the framework.
struct Run {
  Registry& registry = Registry::instance();
  std::vector<std::string> messages = {};  // of the end

  Run() {
    printed.clear();
    registry.install([](const std::string& line, bool in_test) {
      if (in_test) printed.push_back(line);
      return in_test;
    });
    registry.begin_run();
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() {
    end();
    mirakuru::detail::observer = nullptr;
  }
  void end() { messages = registry.end_run(); }
};

/// Prints the text and "ready", and exits with the number that it reads.
mk::OutputExecutor echo(const std::string& text) {
  return mk::OutputExecutor{mk::Shell{"printf '" + text + "ready\\n'; read -r word; exit $word"},
                            mk::BannerCheck{"ready"}};
}

/// Files with the texts.
mk::OutputStreams streams(const std::string& out, const std::string& err) {
  const test::TempDir directory;
  const auto file = [&](const char* name, const std::string& text) {
    const auto path = directory / name;
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    return fd;
  };
  const int out_fd = file("out", ""), err_fd = file("err", "");
  auto result = mk::OutputStreams::from(out_fd, err_fd);
  result.keep();
  file("out", out);
  file("err", err);
  return result;
}

std::string numbered(int count) {
  std::string text;
  for (int i = 1; i <= count; ++i) text += std::to_string(i) + '\n';
  return text;
}

std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

TEST_CASE("output_excerpt: no file has more than its share of the lines") {
  using mirakuru::detail::output_excerpt;
  CHECK(output_excerpt(streams("", ""), 40).empty());
  CHECK(output_excerpt(streams("a\nb\n", ""), 40) ==
        "standard output since the test began:\n  a\n  b\n");
  for (const int out : {0, 1, 18, 19, 20, 38, 39, 1000})
    for (const int err : {0, 1, 18, 19, 20, 38, 39, 1000}) {
      const auto text = output_excerpt(streams(numbered(out), numbered(err)), 40);
      CAPTURE(out);
      CAPTURE(err);
      CAPTURE(text);
      const auto whole = static_cast<std::size_t>(out + err + (out > 0) + (err > 0));
      if (out != err) CHECK(lines(text) == std::min<std::size_t>(40, whole));
      CHECK(lines(text) <= 40);
    }
}

TEST_CASE("output_excerpt: folded lines are lines, too") {
  std::string text;
  for (int i = 0; i < 100; ++i) text += std::to_string(i / 2) + '\n';
  CHECK(lines(mirakuru::detail::output_excerpt(streams(text, ""), 40)) <= 40);
}

TEST_CASE("named_lines: each line has the name, and control characters are escaped") {
  using mirakuru::detail::named_lines;
  CHECK(named_lines("db", "").empty());
  CHECK(named_lines("db", "a\n\x1b[1m\tb") == "[db] a\n[db] \\x1b[1m\tb\n");
}

TEST_CASE("Registry: a test has the output since its begin, also of a service that is gone") {
  Run run;
  auto service = echo("old\\n").start();
  run.registry.begin_test();
  CHECK(run.registry.output_of_test().empty());
  {
    const auto other = echo("new\\n").start();
  }
  const auto text = run.registry.output_of_test();
  CHECK_MESSAGE(text.find("[printf]   new\n") != text.npos, text);
  CHECK_MESSAGE(text.find("old") == text.npos, text);
  CHECK(run.registry.take_failures().empty());
  run.registry.end_test();
  run.registry.begin_test();
  CHECK(run.registry.output_of_test().empty());
}

TEST_CASE("Registry: it follows an executor that moves") {
  Run run;
  run.registry.begin_test();
  auto service = std::make_optional(echo("one\\n").start());
  auto moved = std::move(*service);
  service.reset();
  CHECK(run.registry.output_of_test().find("[printf]   one\n") != std::string::npos);
  moved.write("3\n");
  moved.wait(20s);
  const auto failures = run.registry.take_failures();
  REQUIRE(failures.size() == 1);
  CHECK(failures[0].starts_with("printf: exited with a non-zero code: 3 while the test ran"));
  CHECK(run.registry.take_failures().empty());
}

TEST_CASE("Registry: services of one name have their process ids") {
  Run run;
  run.registry.begin_test();
  auto one = echo("a\\n").start();
  auto two = echo("b\\n").start();
  const auto text = run.registry.output_of_test();
  for (const auto pid : {one.pid(), two.pid()})
    CHECK_MESSAGE(text.find("[printf " + std::to_string(pid) + "]   ready") != text.npos, text);
}

TEST_CASE("Registry: an end that the test knows of is none of its failures") {
  Run run;
  run.registry.begin_test();
  auto service = echo("").start();
  SUBCASE("by exit_code()") {
    service.write("3\n");
    CHECK(service.wait(20s).exit_code() == 3);
  }
  SUBCASE("by check_alive()") {
    service.write("3\n");
    service.wait(20s);
    CHECK_THROWS_AS(service.check_alive(), mk::ProcessExitedWithError);
  }
  SUBCASE("by stop()") { service.stop(); }
  SUBCASE("by an end that is good") {
    service.write("0\n");
    service.wait(20s);
  }
  CHECK(run.registry.take_failures().empty());
}

TEST_CASE("Registry: a leader that has left its tree costs no time") {
  Run run;
  run.registry.begin_test();
  mk::Executor daemon{mk::Shell{"sleep 60 & echo ready"}, mk::BannerCheck{"ready"}};
  daemon.start().wait(20s);
  const test::Elapsed elapsed;
  CHECK(run.registry.take_failures().empty());
  CHECK(elapsed < 2s);
}

TEST_CASE("Registry: it waits for the end of a service that is about to die") {
  Run run;
  for (int i = 0; i < 20; ++i) {
    run.registry.begin_test();
    auto service = mk::SimpleExecutor{{helper(), "raise", "ABRT"}}.start();
    REQUIRE(test::eventually(
        [&] { return mirakuru::detail::process_stat(service.pid()).is_ending(); }));
    CHECK(run.registry.take_failures().size() == 1);
    run.registry.end_test();
  }
}

TEST_CASE("Registry: of many services in a test it keeps the newest twenty") {
  Run run;
  run.registry.begin_test();
  for (int i = 0; i < 25; ++i)
    mk::Executor{{"echo", std::to_string(i)}, mk::DirectSpawner{}}.start().wait(20s).stop();
  const auto text = run.registry.output_of_test();
  CHECK_MESSAGE(text.starts_with("[mirakuru] 5 more have ended before\n"), text);
  CHECK_MESSAGE(text.ends_with("  24"), text);
}

TEST_CASE("Registry: lines of the default reporter are the framework's, in its thread alone") {
  Run run;
  run.registry.begin_test();
  const auto kill_one = [] {
    mk::Executor{mk::Shell{"trap '' TERM; echo up; exec sleep 60"}, mk::BannerCheck{"up"},
                 mk::TimeoutBudget{.start = 20s, .stop = 50ms}}
        .start();
  };
  kill_one();
  REQUIRE(printed.size() == 1);
  CHECK(printed[0].find("had to be killed") != std::string::npos);
  std::thread{kill_one}.join();
  CHECK(printed.size() == 1);
}

TEST_CASE("Service: each starts in the order of definition, or before one that needs it") {
  std::string order;
  std::optional<mk::test::Service<mk::OutputExecutor>> base;
  mk::test::Service user{"user", [&] {
                           (void)(*base)->pid();
                           order += "user ";
                           return mk::OutputExecutor{mk::Shell{"echo up; read -r word"},
                                                     mk::BannerCheck{"up"}};
                         }};
  base.emplace("base", [&] {
    order += "base ";
    return mk::OutputExecutor{mk::Shell{"echo up; read -r word"}, mk::BannerCheck{"up"}};
  });
  CHECK_THROWS_WITH_AS((void)user->pid(), doctest::Contains("starts with the first test"),
                       mk::ExecutorError);
  {
    Run run;
    CHECK(order == "base user ");
    CHECK(user->running());
    CHECK(run.registry.start_failure().empty());
    run.end();
    CHECK(run.messages.empty());
    CHECK(!user->running());
  }
  {
    const Run again;  // as with --gtest_repeat
    CHECK(order == "base user base user ");
    CHECK(user->running());
  }
}

TEST_CASE("Service: a task that has ended is a service, and one that ends later has died") {
  mk::test::Service task{"task", mk::Executor{"true", mk::ExitCheck{}}};
  mk::test::Service server{"server", echo("")};
  Run run;
  REQUIRE(run.registry.start_failure().empty());
  run.registry.begin_test();
  CHECK(run.registry.take_failures().empty());
  server->write("0\n");
  server->wait(20s);
  CHECK(run.registry.take_failures() ==
        std::vector<std::string>{"server: exited with code 0 while the test ran"});
  CHECK(run.registry.take_failures().empty());
}

TEST_CASE("Service: its failed start is told in full once, and to each that uses it") {
  mk::test::Service bad{"bad", mk::Executor{"/no/such/program"}};
  mk::test::Service self{"self", mk::Executor{"sleep 60"}};
  Run run;
  const auto first = run.registry.start_failure(), second = run.registry.start_failure();
  CHECK_MESSAGE(first.starts_with("bad has not started: cannot run /no/such/program"), first);
  CHECK(lines(first) > 0);
  CHECK(second == first.substr(0, first.find('\n')));
  CHECK_THROWS_WITH_AS((void)bad->pid(), doctest::Contains("bad has not started: cannot"),
                       mk::ExecutorError);
  run.end();
  CHECK(run.messages.empty());
}

TEST_CASE("Service: one that needs itself is an error") {
  std::optional<mk::test::Service<mk::SimpleExecutor>> self;
  self.emplace("self", [&] {
    (void)(*self)->pid();
    return mk::SimpleExecutor{"sleep 60"};
  });
  Run run;
  CHECK(run.registry.start_failure() ==
        "self has not started: self needs itself in order to start");
}
