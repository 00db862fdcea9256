// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/file_name.hpp>

namespace mirakuru {

class Process;
namespace detail {
class Watch;
}

/// Ready when a pid file is there. Its directory need not exist at the start. A relative path is
/// relative to the test's own directory, whatever `Command::cwd` is.
///
/// A file that is there before the start is `AlreadyRunning`, and the message says whether its
/// process lives. Rests on inotify, for a symbolic link's target too.
struct PidCheck {
  FileName path;
  /// True: the file must hold the id of a process that lives, in its first four kilobytes. An id
  /// that nothing stands behind, not even a line's end, may be unfinished: it counts when it has
  /// stayed so for 10 ms, and for a second if its process is none that this one has started.
  bool alive = false;

  /// What is waited for, as an executor's messages say it.
  [[nodiscard]] std::string describe() const;
  /// True when the file is there now.
  [[nodiscard]] bool already_true() const;
  /// That the file is there, and whether its process lives.
  [[nodiscard]] std::string describe_conflict() const;
  /// For executors: what they wait by.
  [[nodiscard]] std::unique_ptr<detail::Watch> watch(const Process& process) const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/pid.ipp>
#endif
