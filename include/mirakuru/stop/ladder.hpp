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

/// Several signals one after another: `SignalLadder{{SIGINT, 2s}, {SIGTERM, 5s}}`, then SIGKILL.
///
/// Each waits for its own time, and all of them together no longer than the stop budget.
class SignalLadder {
 public:
  /// Throws `std::invalid_argument` for a ladder without a step; so does the executor's constructor
  /// for a signal that is none and for a negative wait.
  SignalLadder(std::initializer_list<SignalStep> steps) : steps_{steps} {
    if (steps_.empty()) throw std::invalid_argument{"a signal ladder without a step"};
  }

  /// What `kill()` sends: 1 to `SIGRTMAX`.
  int kill = SIGKILL;
  /// As in `Signals`.
  std::vector<int> accept = {};

  [[nodiscard]] const std::vector<SignalStep>& steps() const { return steps_; }

 private:
  std::vector<SignalStep> steps_;
};

}  // namespace mirakuru
