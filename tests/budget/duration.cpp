// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <cstdint>
#include <type_traits>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;
using std::chrono::nanoseconds;

static_assert(std::is_convertible_v<mk::Duration, nanoseconds>);
static_assert(mk::Duration{3s} == 3s);
static_assert(mk::Duration{1.5s} == 1500ms);
static_assert(mk::Duration{} == 0s);
static_assert(mk::Duration{nanoseconds::max()} == nanoseconds::max());
static_assert(mk::Duration{nanoseconds::min()} == nanoseconds::min());
static_assert(mk::Duration{24h * 365 * 200} == 24h * 365 * 200);

// All that is too long is the longest.
static_assert(mk::Duration{std::chrono::hours::max()} == nanoseconds::max());
static_assert(mk::Duration{std::chrono::seconds::max()} == nanoseconds::max());
static_assert(mk::Duration{std::chrono::microseconds::max()} == nanoseconds::max());
static_assert(mk::Duration{std::chrono::hours::min()} == nanoseconds::min());
static_assert(mk::Duration{24h * 365 * 1000} == nanoseconds::max());
static_assert(mk::Duration{std::chrono::duration<double>{1e300}} == nanoseconds::max());
static_assert(mk::Duration{std::chrono::duration<std::uint64_t>::max()} == nanoseconds::max());

TEST_CASE_TEMPLATE("Duration: the longest is for ever, in each budget", Span, std::chrono::hours,
                   std::chrono::minutes, std::chrono::seconds, std::chrono::milliseconds,
                   std::chrono::microseconds, nanoseconds) {
  const mk::TimeoutBudget for_ever{.start = Span::max(), .stop = Span::max()};
  mk::Executor server{"sleep 300", for_ever};
  server.start().wait_for([] { return true; }, Span::max());
  server.stop();
  mk::Executor ladder{"sleep 300", mk::SignalLadder{{SIGINT, Span::max()}, {SIGTERM, Span::max()}},
                      for_ever};
  CHECK(ladder.start().stop().exit_code() == -SIGINT);
}

TEST_CASE("Duration: a negative budget is refused") {
  CHECK_THROWS_WITH((mk::Executor{"true", mk::TimeoutBudget{.start = std::chrono::hours::min()}}),
                    "the start budget is negative");
}
