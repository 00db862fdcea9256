// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <stdexcept>
#include <string>
#include <type_traits>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
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
