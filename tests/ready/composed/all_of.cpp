// SPDX-License-Identifier: BSL-1.0
#include <chrono>
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

TEST_CASE("AllOf: all of its checks, in any order and at once") {
  mk::Executor service{mk::Shell{"echo two; sleep 0.05; echo one; exec sleep 300"},
                       mk::AllOf{mk::BannerCheck{"one"}, mk::BannerCheck{"two"}}, in_time};
  CHECK(service.start().running());
  // Each looks again before the other has passed.
  std::string looks;
  const auto look = [&](char name) {
    return [&looks, name](const mk::Process&) {
      looks += name;
      return test::contains(looks, "aba") && test::contains(looks, "bab");
    };
  };
  mk::Executor at_once{"sleep 300", mk::AllOf{look('a'), look('b')}, in_time};
  CHECK(at_once.start().running());
}

TEST_CASE("AllOf: the message names those that are missing") {
  const auto start = [](std::chrono::milliseconds budget) {
    mk::Executor{mk::Shell{"echo one; exec sleep 300"},
                 mk::AllOf{mk::BannerCheck{"one"}, mk::BannerCheck{"two"}},
                 mk::TimeoutBudget{.start = budget}}
        .start();
  };
  const auto message =
      test::message_of_timeout(100ms, start, "\n  last answer: a line with 'two'\n");
  CHECK(message.find("\n  waited for: all of (a line with 'one', a line with 'two'), for ") !=
        message.npos);
}

TEST_CASE("AllOf: one that can no longer hold is the end") {
  mk::Executor service{"sleep 300",
                       mk::AllOf{mk::BannerCheck{"x"}, mk::Within{10ms, mk::BannerCheck{"y"}}},
                       in_time};
  const test::Elapsed elapsed;
  CHECK(message_of<mk::TimeoutExpired>([&] {
          service.start();
        }).starts_with("timed out after 10 ms\n"));
  const auto gone = [](const mk::Process&) -> mk::Readiness { throw mk::CannotHold{"gone"}; };
  mk::Executor other{"sleep 300", mk::AllOf{mk::BannerCheck{"x"}, gone}, in_time};
  const auto message = message_of<mk::ExecutorError>([&] { other.start(); });
  CHECK(message.starts_with("it cannot become ready: a line with 'x'; a predicate: gone\n"));
  CHECK(message.find("last answer") == message.npos);  // it would say the same
  CHECK(elapsed < 5s);
  static_assert(!mk::AllOf<mk::TCPCheck, mk::BannerCheck>::valid_after_exit);
  static_assert(mk::AllOf<mk::BannerCheck, mk::BannerCheck>::valid_after_exit);
}
