// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>
#include <cstddef>
#include <memory>
#include <string>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/file_name.hpp>
#include <mirakuru/ready/per_start.hpp>
#include <mirakuru/ready/probe.hpp>
#include <mirakuru/spawn/launch.hpp>
#include <mirakuru/text/line_matcher.hpp>

namespace mirakuru {

namespace detail {

/// A log file before the start; all zero if it is not there.
struct LogBefore {
  struct stat file = {};
  std::string end = {};  // its last bytes
};

}  // namespace detail

/// Ready when a line of a log file matches. The file and its directory need not exist at the start;
/// it may be rotated, and cut. A relative path is relative to the test's own directory.
///
/// Lines that are there before the start, or before the call of `wait_for()`, do not count. A file
/// that is written anew is told from one that has grown by the bytes at its old end: if they are
/// the same again, and it is no shorter, it has grown. The end of the file is in the error. Rests
/// on inotify, and on pauses that adapt where there is none.
struct LogFileCheck {
  static constexpr bool looks_here = true;
  static constexpr bool valid_after_exit = true;

  FileName path;
  LineMatcher pattern;
  /// Ready at this one of the lines that match.
  std::size_t times = 1;

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const;
  /// The end of the file, after a time-out.
  [[nodiscard]] std::string hint(const Process& process) const;
  /// The first line that matches; empty for none.
  [[nodiscard]] std::string quote(const Process& process) const;
  /// Called before the spawn: notes how the file ends.
  void prepare(LaunchRequest& request) const;
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const;

  detail::PerStart<detail::LogBefore> before = {};  ///< the file before the start
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/file/log_file.ipp>
#endif
