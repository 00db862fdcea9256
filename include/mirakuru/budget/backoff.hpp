// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

#include <mirakuru/os/clock.hpp>

namespace mirakuru::detail {

/// The pause before the next attempt if the kernel has no event for the awaited thing. Back-off is
/// 1/45 of the time waited if the attempt costs the service work, else 1/64.
///
/// So the delay is a small share of the service's own start-up time, and the number of attempts
/// grows only with its logarithm.
[[nodiscard]] constexpr std::chrono::nanoseconds pause_after(std::chrono::nanoseconds waited,
                                                             int share = 64) {
  constexpr std::chrono::nanoseconds least = std::chrono::microseconds{500};
  constexpr std::chrono::nanoseconds most = std::chrono::milliseconds{250};
  const auto pause = waited / share;
  return pause < least ? least : pause > most ? most : pause;
}

/// The pause before the next attempt if there is an event, which may get lost.
[[nodiscard]] constexpr std::chrono::nanoseconds pause_for_event(std::chrono::nanoseconds waited) {
  constexpr std::chrono::nanoseconds least = std::chrono::milliseconds{20};
  constexpr std::chrono::nanoseconds most = std::chrono::seconds{1};
  const auto pause = waited / 2;
  return pause < least ? least : pause > most ? most : pause;
}

/// The time limit of one attempt: 1 s plus the time waited. A mute server costs one attempt, and a
/// slow server gets its answer through.
[[nodiscard]] constexpr std::chrono::nanoseconds attempt_limit(std::chrono::nanoseconds waited) {
  return std::chrono::seconds{1} + waited;
}

}  // namespace mirakuru::detail
