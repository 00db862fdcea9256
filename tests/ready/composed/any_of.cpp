// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <variant>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "time.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;
using test::message_of;

TEST_CASE("AnyOf: the first of its checks will do") {
  for (const char* line : {"echo one", "echo two >&2"}) {
    mk::Executor service{
        mk::Shell{std::string{line} + "; exec sleep 300"},
        mk::AnyOf{mk::BannerCheck{"one"}, mk::TCPCheck{"127.0.0.1", 1}, mk::BannerCheck{"two"}},
        in_time};
    service.start();
    const auto& arms = service.timeline().checks.at(0).arms;
    REQUIRE(arms.size() == 3);
    CHECK(arms[1].attempts > 0);
    CHECK(arms[1].passed == mk::TimePoint{});
    CHECK((arms[0].passed == mk::TimePoint{}) != (arms[2].passed == mk::TimePoint{}));
  }
}

TEST_CASE("AnyOf: the message names each check and its last answer") {
  mk::Executor service{"sleep 300",
                       mk::AnyOf{mk::TCPCheck{"127.0.0.1", 1},
                                 mk::AllOf{[](const mk::Process&) { return mk::not_ready("no"); }}},
                       mk::TimeoutBudget{.start = 100ms}};
  const test::Elapsed elapsed;
  const auto message = message_of<mk::TimeoutExpired>([&] { service.start(); });
  CHECK(elapsed < 5s);
  CHECK(message.find("\n  waited for: any of (a connection to 127.0.0.1:1, all of (a predicate)), "
                     "for ") != message.npos);
  CHECK(message.find("\n  last answer: a connection to 127.0.0.1:1: connection refused; all of (a "
                     "predicate): a predicate: no\n") != message.npos);
}

TEST_CASE("AnyOf: each answer in the message belongs to one check") {
  const auto answers = [](const char* why) {
    return [why](const mk::Process&) { return mk::not_ready(why); };
  };
  mk::Executor service{
      "sleep 300",
      mk::AnyOf{mk::Within{10s, mk::AllOf{answers("1"), mk::StableFor{1s, answers("2")}}},
                answers("3")},
      mk::TimeoutBudget{.start = 50ms}};
  const auto message = message_of<mk::TimeoutExpired>([&] { service.start(); });
  const std::string inner = "all of (a predicate; a predicate, for 1 s), within 10 s";
  CAPTURE(message);
  CHECK(message.find("\n  waited for: any of (" + inner + "; a predicate), for ") != message.npos);
  CHECK(message.find("\n  last answer: " + inner +
                     ": (a predicate: 1; a predicate, for 1 s: 2); a predicate: 3\n") !=
        message.npos);
}

TEST_CASE("AnyOf: a note of the check that has passed is its own") {
  const auto passes = [](const mk::Process&) { return mk::ready_but("but not mine"); };
  std::string told;
  mk::Executor service{"sleep 300", mk::AllOf{mk::AnyOf{mk::BannerCheck{"never"}, passes}},
                       [&](const mk::Event& event) {
                         if (std::holds_alternative<mk::CheckPassed>(event))
                           told = mk::line_of(event);
                       },
                       in_time};
  service.start();
  const std::string note = "any of (a line with 'never', a predicate): a predicate: but not mine";
  CHECK(service.timeline().checks.at(0).note == note);
  CHECK(told.ends_with(", but " + note));
}

TEST_CASE("AnyOf: the message has the hints of all its checks") {
  const test::TempDir directory;
  const auto log = directory / "log";
  mk::Executor service{mk::Shell{"echo the last words > " + log + "; exec sleep 300"},
                       mk::AnyOf{mk::LogFileCheck{log, "never"}, mk::BannerCheck{"never"},
                                 mk::BannerCheck{"not at all"}},
                       mk::TimeoutBudget{.start = 200ms}};
  const auto message = message_of<mk::TimeoutExpired>([&] { service.start(); });
  CAPTURE(message);
  CHECK(message.find("\n  note: output that goes to a file is often buffered: try python3 -u or "
                     "stdbuf -oL\n    the end of " +
                     log + ":\n    the last words") != message.npos);
}

TEST_CASE("AnyOf: a check that can no longer hold is out, and the start fails when all are") {
  const auto out = [](const mk::Process&) -> mk::Readiness { throw mk::CannotHold{"gone"}; };
  mk::Executor one{
      mk::Shell{"sleep 0.1; echo ready; exec sleep 300"},
      mk::AnyOf{out, mk::Within{10ms, mk::BannerCheck{"never"}}, mk::BannerCheck{"ready"}},
      in_time};
  CHECK(one.start().running());
  mk::Executor all{"sleep 300", mk::AnyOf{out, mk::Within{10ms, mk::TCPCheck{"127.0.0.1", 1}}},
                   in_time};
  const test::Elapsed elapsed;
  const auto message = message_of<mk::ExecutorError>([&] { all.start(); });
  CHECK(elapsed < 5s);
  CHECK(
      message.starts_with("it cannot become ready: a predicate: gone; a connection to "
                          "127.0.0.1:1, within 10 ms"));
  mk::Executor late{
      "sleep 300",
      mk::AnyOf{mk::Within{40ms, mk::BannerCheck{"x"}}, mk::Within{10ms, mk::BannerCheck{"y"}}},
      in_time};
  CHECK(
      message_of<mk::TimeoutExpired>([&] { late.start(); }).starts_with("timed out after 40 ms\n"));
  const auto wrong = [](const mk::Process&) -> bool { throw std::runtime_error{"a bug"}; };
  mk::Executor thrown{"sleep 300", mk::AnyOf{wrong, mk::BannerCheck{"never"}}, in_time};
  CHECK(message_of<mk::ExecutorError>([&] {
          thrown.start();
        }).starts_with("a readiness check failed: a bug"));
}

TEST_CASE("AnyOf: a check that holds before the start is AlreadyRunning") {
  struct Held {
    bool operator()(const mk::Process&) const { return true; }
    bool already_true() const { return true; }
    std::string describe_conflict() const { return "the thing is there"; }
  };
  mk::Executor service{"sleep 300", mk::AnyOf{mk::BannerCheck{"x"}, mk::Within{1s, Held{}}},
                       in_time};
  CHECK(message_of<mk::AlreadyRunning>([&] {
          service.start();
        }).starts_with("the thing is there: it seems to be already running"));
  mk::Executor free{
      "sleep 300", mk::AnyOf{mk::TCPCheck{"127.0.0.1", 1}, [](const mk::Process&) { return true; }},
      in_time};
  CHECK(free.start().running());
}

TEST_CASE("AnyOf: the end of the process") {
  mk::Executor good{"echo ready", mk::AnyOf{mk::TCPCheck{"127.0.0.1", 1}, mk::BannerCheck{"ready"}},
                    in_time};
  CHECK_NOTHROW(good.start());
  mk::Executor bad{"echo other", mk::AnyOf{mk::TCPCheck{"127.0.0.1", 1}, mk::BannerCheck{"ready"}},
                   in_time};
  CHECK_THROWS_AS(bad.start(), mk::ProcessExitedWithError);
  using Any = mk::AnyOf<mk::TCPCheck, mk::BannerCheck>;
  static_assert(Any::valid_after_exit);
  static_assert(Any::reads_output);
  static_assert(!mk::AnyOf<mk::TCPCheck>::reads_output);
  static_assert(std::is_convertible_v<mk::AnyOf<mk::HTTPCheck>, mk::TCPCheck>);
  static_assert(!std::is_convertible_v<mk::AnyOf<mk::BannerCheck>, mk::TCPCheck>);
}

TEST_CASE("AnyOf: what is derived reaches inside") {
  mk::Executor<mk::TCPCheck, mk::Within<mk::HTTPCheck>> service{
      "sleep 300", mk::Within{5s, mk::HTTPCheck{"http://127.0.0.1:1/x"}},
      mk::TimeoutBudget{.start = 50ms}};
  CHECK(message_of<mk::TimeoutExpired>([&] {
          service.start();
        }).find("\n  waited for: a connection to 127.0.0.1:1, for ") != std::string::npos);
}
