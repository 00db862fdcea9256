// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <csignal>
#include <initializer_list>
#include <stdexcept>
#include <utility>
#include <vector>

#include <mirakuru/stop/signals.hpp>

namespace mirakuru {

/// Stops a tree by several signals in turn, then by SIGKILL:
/// `SignalLadder{{SIGINT, 2s}, {SIGTERM, 5s}}`.
///
/// Each step has its own wait. SIGKILL comes after the last wait, and at the latest when the stop
/// budget ends.
class SignalLadder {
 public:
  /// Throws `std::invalid_argument` for a ladder without a step. The executor's constructor throws
  /// it for a signal outside 1 to `SIGRTMAX` and for a negative wait.
  SignalLadder(std::initializer_list<SignalStep> steps) : steps_{steps} {
    if (steps_.empty()) throw std::invalid_argument{"a signal ladder without a step"};
  }

  /// The signal that `kill()` sends, 1 to `SIGRTMAX`.
  int kill = SIGKILL;
  /// Further exit codes that `stop()` accepts, as in `Signals`.
  std::vector<int> accept = {};

  /// The steps in order.
  [[nodiscard]] const std::vector<SignalStep>& steps() const { return steps_; }

 private:
  std::vector<SignalStep> steps_;
};

}  // namespace mirakuru
