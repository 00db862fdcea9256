// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <stdexcept>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
#include "time.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;
using test::message_of;

TEST_CASE("Within: a deadline of its own, named in the message") {
  mk::Executor service{"sleep 300", mk::Within{100ms, mk::BannerCheck{"never"}}, in_time};
  const test::Elapsed elapsed;
  try {
    service.start();
    FAIL("it has not thrown");
  } catch (const mk::TimeoutExpired& error) {
    CHECK(error.timeout() == 100ms);
    CHECK(std::string{error.what()}.starts_with("timed out after 100 ms\n"));
    CHECK(std::string{error.what()}.find("a line with 'never', within 100 ms, for ") !=
          std::string::npos);
  }
  CHECK(elapsed >= 100ms);
  CHECK(elapsed < 5s);
  CHECK_FALSE(service.running());
}

TEST_CASE("Within: the lesser of it and the start budget") {
  mk::Executor service{"sleep 300", mk::Within{1h, mk::BannerCheck{"never"}},
                       mk::TimeoutBudget{.start = 100ms}};
  const test::Elapsed elapsed;
  CHECK_THROWS_AS(service.start(), mk::TimeoutExpired);
  CHECK(elapsed < 5s);
  CHECK_THROWS_AS((mk::Within{-1s, mk::ExitCheck{}}), std::invalid_argument);
}

TEST_CASE("Within: its time begins when its turn comes") {
  mk::Executor service{mk::Shell{"sleep 0.3; echo one; echo two; exec sleep 300"},
                       mk::BannerCheck{"one"}, mk::Within{250ms, mk::BannerCheck{"two"}}, in_time};
  CHECK(service.start().running());
}

TEST_CASE("Within: the last answer before its deadline is in the message") {
  mk::Executor service{
      "sleep 300", mk::Within{50ms, [](const mk::Process&) { return mk::not_ready("no disk"); }},
      in_time};
  CHECK(test::message_of<mk::TimeoutExpired>([&] {
          service.start();
        }).find("\n  last answer: no disk") != std::string::npos);
}
