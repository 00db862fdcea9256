// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <chrono>
#include <memory>
#include <string>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/spawn/launch.hpp>

namespace mirakuru {

namespace detail {

/// A directory for the reports of sanitizers, in the first of `temporary_directories()` that
/// serves. It is locked until its owner's death. The destructor removes it, except in a fork of the
/// owner.
class ReportsDirectory {
 public:
  /// Removes those of dead owners, too. Throws `std::system_error` if none can be made.
  ReportsDirectory();
  ReportsDirectory(const ReportsDirectory&) = delete;
  ReportsDirectory& operator=(const ReportsDirectory&) = delete;
  ~ReportsDirectory();

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  pid_t owner_;
  std::string path_;
  UniqueFd lock_;
};

}  // namespace detail

/// The error of a service that has died tells why: a policy of its own axis.
///
/// After an end by a signal the error has the backtrace of all threads, or the reason why there is
/// none. The same goes for a shell's child, whose end the shell tells by the exit code. A core file
/// that gdb does not read stays, and so do those of other processes. The reports of sanitizers are
/// quoted, and make `stop()` throw whatever the exit code. LSan reports at a normal exit alone, not
/// at an end by a signal.
///
/// A `Limits{.core}` of your own stays. If one sanitizer has a `log_path` of your own, none is
/// added and nothing is quoted. The reports lie in a directory in `$TMPDIR`, else in /tmp, and are
/// gone with the run. Those of a test that was killed go with the next run. Rests on core(5), gdb
/// and flock(2), and on the option `log_path` of the sanitizers.
struct PostMortem {
  bool core = true;        ///< raises the limit of core files, and removes the file after a look
  bool sanitizers = true;  ///< adds to ASAN_OPTIONS, and to those of the other sanitizers

  /// One run of a service.
  class Run {
   public:
    Run() = default;
    /// Prepares the request.
    Run(const PostMortem& options, LaunchRequest& request);
    /// Why the sanitizers report to standard error; empty if they do not.
    [[nodiscard]] const std::string& note() const noexcept { return note_; }
    /// The reports of sanitizers so far, the first lines of each; empty for none. Never throws.
    [[nodiscard]] std::string reports() const noexcept;
    /// The backtrace after an end by a signal, or why there is none. Takes at most 30 s.
    [[nodiscard]] std::string backtrace(pid_t leader) const noexcept;

   private:
    std::unique_ptr<const detail::ReportsDirectory> reports_;
    std::string note_, cwd_;
    std::string id_;  // the variable that the tree has in its environment
    bool core_ = false;
    std::string no_core_;  // why there will be none
    std::chrono::system_clock::time_point began_ = {};
  };
};

namespace detail {

/// The pattern of glob(7) for the core files of any process in the directory `cwd`, by the text of
/// /proc/sys/kernel/core_pattern.
[[nodiscard]] std::string core_glob(const std::string& pattern, bool uses_pid,
                                    const std::string& cwd);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/post_mortem/post_mortem.ipp>
#endif
