// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <csignal>
#include <vector>

#include <mirakuru/command.hpp>
#include <mirakuru/stop/signals.hpp>

namespace mirakuru {

/// Stops a tree by a command: `StopByCommand{{"redis-cli", "-p", port, "shutdown"}}`. Signals
/// follow as in `Signals`, within the same stop budget, and at once if the command fails. After the
/// death of the test there are signals alone.
struct StopByCommand {
  detail::ResolvedCommand command;
  /// The time from the command's begin to the first signal; zero: half of the stop budget.
  Duration wait = {};
  int stop = SIGTERM;            ///< the first signal
  int kill = SIGKILL;            ///< the signal that `kill()` sends
  std::vector<int> accept = {};  ///< further exit codes that `stop()` accepts, as in `Signals`

  /// One step, which waits until the stop budget ends.
  [[nodiscard]] constexpr std::array<SignalStep, 1> steps() const {
    return {{{stop, std::chrono::nanoseconds::max()}}};
  }
};

}  // namespace mirakuru
