// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <chrono>
#include <csignal>
#include <vector>

namespace mirakuru {

/// A signal, and how long the tree has to end before the next one.
struct SignalStep {
  int signal;                     ///< 1 to `SIGRTMAX`
  std::chrono::nanoseconds wait;  ///< zero: the next one follows at once; not negative
};

/// One signal to stop by and one to kill by. The default signal strategy.
///
/// `stop()` sends `.stop`, and `kill()` sends `.kill`; SIGKILL follows when the stop budget has run
/// out. Both are 1 to `SIGRTMAX`, or the executor's constructor throws `std::invalid_argument`.
struct Signals {
  int stop = SIGTERM;
  int kill = SIGKILL;
  /// Exit codes that `stop()` takes as good, beside 0, an end by the signal that was sent, and 128
  /// plus its number; an end by signal N is -N.
  std::vector<int> accept = {};

  [[nodiscard]] constexpr std::array<SignalStep, 1> steps() const {
    return {{{stop, std::chrono::nanoseconds::max()}}};
  }
};

}  // namespace mirakuru
