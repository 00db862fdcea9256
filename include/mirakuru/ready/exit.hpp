// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include <mirakuru/ready/probe.hpp>

namespace mirakuru {

/// Ready when the command has ended with 0, and all that it has started: a task, such as a
/// migration. Any other end is `ProcessExitedWithError`.
struct ExitCheck {
  static constexpr bool valid_after_exit = true;

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const { return "its end with 0"; }
  /// True once all of the tree has ended, and its leader with 0.
  bool operator()(const Process& process) const noexcept {
    return !process.running() && process.exit_code().value_or(0) == 0;
  }
};

}  // namespace mirakuru
