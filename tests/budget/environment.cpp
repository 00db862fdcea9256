// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::read_time;

namespace {

/// Calls `action` with a value of MIRAKURU_START_TIMEOUT.
template <class Action>
void with(const char* value, Action action) {
  ::setenv("MIRAKURU_START_TIMEOUT", value, 1);
  action();
  ::unsetenv("MIRAKURU_START_TIMEOUT");
}

}  // namespace

TEST_CASE("read_time: a number and a unit") {
  CHECK(read_time("500ms") == 500ms);
  CHECK(read_time("20s") == 20s);
  CHECK(read_time("20") == 20s);
  CHECK(read_time("2min") == 2min);
  CHECK(read_time("1h") == 1h);
  CHECK(read_time("0") == 0s);
  CHECK(read_time("99999999999999999999h") == std::chrono::nanoseconds::max());
  CHECK(read_time("9999999999h") == std::chrono::nanoseconds::max());
  for (const auto* wrong : {"", "s", "20 s", "20m", "1.5s", "-1s", "+1s", " 1s", "1s ", "20sec"})
    CHECK_FALSE(read_time(wrong));
}

TEST_CASE("MIRAKURU_START_TIMEOUT: it replaces a budget that is left at its default") {
  const auto never = [](const mk::Process&) { return false; };
  const auto timeout = [&](auto... policies) {
    mk::Executor executor{"sleep 300", never, policies...};
    try {
      executor.start();
    } catch (const mk::TimeoutExpired& error) {
      return error.timeout();
    }
    return std::chrono::nanoseconds::zero();
  };
  with("50ms", [&] {
    CHECK(timeout() == 50ms);
    CHECK(timeout(mk::TimeoutBudget{.stop = 5s}) == 50ms);
    CHECK(timeout(mk::TimeoutBudget{.start = 60ms}) == 60ms);
  });
}

TEST_CASE("MIRAKURU_START_TIMEOUT: a value that is no time is refused") {
  with("soon", [] {
    CHECK(test::refusal([] { mk::SimpleExecutor{"true"}; }) ==
          "MIRAKURU_START_TIMEOUT is no time: 'soon'; write 500ms, 20s, 2min or 1h");
  });
  with("", [] { CHECK(test::refusal([] { mk::SimpleExecutor{"true"}; }) == "nothing"); });
}
