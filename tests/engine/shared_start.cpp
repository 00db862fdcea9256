// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/engine/shared_start.hpp>

#include "errors.hpp"
#include "programs.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::TimePoint;
using mk::detail::Rendezvous;
using test::Program;
using test::Wire;

namespace {

// One that waits, at made-up moments.
struct Waiting : mk::detail::SharedStartBase {
  using SharedStartBase::begin;
  using SharedStartBase::Step;

  Waiting(mk::detail::ServiceBase& service, const std::string& name)
      : SharedStartBase{service, name, ""} {}
  Step go_on_at(TimePoint now) { return go_on(now, waits, {}); }

  mk::WaitSet waits;
};

// A program that is about to start the service.
Program starter(const std::string& name) {
  return Program{[name](const Wire& wire) {
    const auto outcome = Rendezvous{name, ""}.attempt(mk::detail::Clock::now());
    wire.say(outcome.role == Rendezvous::Role::starter ? "listens" : "does not listen");
    wire.hear();
  }};
}

}  // namespace

TEST_CASE("SharedStartBase: the budget of those that wait begins anew with another starter") {
  const auto name = test::mark();
  const TimePoint begin{1h};
  mk::detail::ServiceBase service{mk::detail::ResolvedCommand{"true"}};
  Waiting waiting{service, name};
  auto first = starter(name);
  REQUIRE(first.hear() == "listens");
  waiting.begin(begin, 4s, 20s);
  CHECK(waiting.go_on_at(begin) == Waiting::Step::wait);
  first.kill();
  auto second = starter(name);
  REQUIRE(second.hear() == "listens");
  CHECK(waiting.go_on_at(begin + 3s) == Waiting::Step::wait);  // the connection is lost
  CHECK(waiting.go_on_at(begin + 3s) == Waiting::Step::wait);
  CHECK(waiting.go_on_at(begin + 7s) == Waiting::Step::wait);
  const auto message = test::message_of<mk::TimeoutExpired>([&] { waiting.go_on_at(begin + 8s); });
  CHECK(message.starts_with("the shared service '" + name + "' is not ready after 4 s\n"));
}

TEST_CASE("SharedStartBase: a limit besides the budget begins once") {
  const auto name = test::mark();
  const TimePoint begin{1h};
  mk::detail::ServiceBase service{mk::detail::ResolvedCommand{"true"}};
  Waiting waiting{service, name};
  waiting.begin(begin, 4s, 5s);
  auto first = starter(name);
  REQUIRE(first.hear() == "listens");
  CHECK(waiting.go_on_at(begin + 4s) == Waiting::Step::wait);
  CHECK(waiting.go_on_at(begin + 5900ms) == Waiting::Step::wait);
  CHECK_THROWS_AS((void)waiting.go_on_at(begin + 6s), mk::TimeoutExpired);
}
