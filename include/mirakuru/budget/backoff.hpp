// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

#include <mirakuru/os/clock.hpp>

namespace mirakuru::detail {

/// The pause before the next look at something that the kernel has no event for: a small share of
/// the time already waited, so that what is lost is a small share of the service's own start-up,
/// and the number of looks grows with its logarithm only. A look that the service has work with is
/// a forty-fifth, any other one a sixty-fourth.
[[nodiscard]] constexpr std::chrono::nanoseconds pause_after(std::chrono::nanoseconds waited,
                                                             int share = 64) {
  using namespace std::chrono_literals;
  constexpr std::chrono::nanoseconds least = 500us, most = 250ms;
  const auto pause = waited / share;
  return pause < least ? least : pause > most ? most : pause;
}

/// The same where there is an event, which may fail to be told.
[[nodiscard]] constexpr std::chrono::nanoseconds pause_for_event(std::chrono::nanoseconds waited) {
  using namespace std::chrono_literals;
  constexpr std::chrono::nanoseconds least = 20ms, most = 1s;
  const auto pause = waited / 2;
  return pause < least ? least : pause > most ? most : pause;
}

/// The time limit of a single attempt: a second, and as much again as has been waited, so that a
/// server that stays mute costs one attempt and a server that is slow gets its answer through.
[[nodiscard]] constexpr std::chrono::nanoseconds attempt_limit(std::chrono::nanoseconds waited) {
  using namespace std::chrono_literals;
  return 1s + waited;
}

}  // namespace mirakuru::detail
