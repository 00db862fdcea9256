// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>

#include <mirakuru/budget/duration.hpp>
#include <mirakuru/command.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/ready/probe.hpp>

namespace mirakuru {

/// Ready when a command exits with 0: `ExecCheck{{"pg_isready", "-p", port}}`.
///
/// It takes a command as an executor does, and throws `std::invalid_argument` as that does. The
/// command has the service's directory, environment and user where it has none of its own. It runs
/// on this machine, or beside the service of a launcher: on that machine, in that container. It
/// runs again after a pause that is as long as its last run at least. Its last words and its exit
/// status are the reason.
///
/// A run is killed at `within`, at the deadline, and with its owner; so is all that it has started,
/// and all that it leaves behind. It may write 64 MiB to a file. A command that cannot be run, or
/// exits with 127, fails the start at once. It is not asked before the start. Rests on
/// `GuardedSpawner`.
struct ExecCheck {
  detail::ResolvedCommand command;
  /// The time limit of one run; zero: until the deadline. A negative one is
  /// `std::invalid_argument`.
  TimeLimit within = {};

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const;
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/exec.ipp>
#endif
