// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <csignal>
#include <vector>

#include <mirakuru/budget/duration.hpp>

namespace mirakuru {

/// The receivers of a signal.
enum class Scope {
  tree,    ///< all processes
  leader,  ///< the command's own process; the others get the signal when it has ended
};

/// A signal, and the time that the tree gets before the next signal.
struct SignalStep {
  int signal;     ///< 1 to `SIGRTMAX`
  Duration wait;  ///< zero or more; zero: the next signal follows at once
  Scope scope = Scope::tree;
};

/// Stops a tree by one signal, and kills it by another. The default signal strategy.
///
/// SIGKILL follows when the stop budget ends. The executor's constructor throws
/// `std::invalid_argument` for a signal outside 1 to `SIGRTMAX`.
struct Signals {
  int stop = SIGTERM;  ///< the signal that `stop()` sends
  int kill = SIGKILL;  ///< the signal that `kill()` sends
  /// Further exit codes that `stop()` accepts; -N is an end by signal N. Always accepted are 0, an
  /// end by the sent signal, and 128 plus its number.
  std::vector<int> accept = {};
  /// `leader`: a service that ends its own workers gets the time to do so.
  Scope scope = Scope::tree;

  /// One step, which waits until the stop budget ends.
  [[nodiscard]] constexpr std::array<SignalStep, 1> steps() const {
    return {{{stop, std::chrono::nanoseconds::max(), scope}}};
  }
};

}  // namespace mirakuru
