// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/file_name.hpp>
#include <mirakuru/ready/probe.hpp>

namespace mirakuru {

/// Ready when a pid file is there. Its directory need not exist at the start. A relative path is
/// relative to the test's own directory, whatever `Command::cwd` is.
///
/// A file that is there before the start is `AlreadyRunning`, unless it is left over: its process
/// is gone, or the process with that id is younger than the file. Then the check waits for another
/// content. Rests on inotify, and follows the target of a symbolic link.
struct PidCheck {
  static constexpr bool looks_here = true;

  FileName path;
  /// True: the file must hold the id of a living process in its first four kilobytes. An id without
  /// a line's end may be half-written. It is accepted after 10 ms without change (1 s if the
  /// process is not a descendant of this one).
  bool alive = false;

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const;
  /// True when the file is there before the start, and its process may live.
  [[nodiscard]] bool already_true() const;
  /// Says that the file is there, and which process it belongs to.
  [[nodiscard]] std::string describe_conflict() const;
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/file/pid.ipp>
#endif
