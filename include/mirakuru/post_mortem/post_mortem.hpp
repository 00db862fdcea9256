// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <chrono>
#include <string>
#include <utility>

#include <mirakuru/os/config.hpp>
#include <mirakuru/spawn/launch.hpp>

namespace mirakuru {

/// The error of a service that has died tells why: a policy of its own axis.
///
/// After an end by a signal the error has the backtrace of all threads, or the reason why there is
/// none. The same goes for a shell's child, whose end the shell tells by the exit code. A core file
/// that gdb does not read stays, and so do those of other processes. The reports of sanitizers are
/// quoted, and make `stop()` throw whatever the exit code. LSan reports at a normal exit alone, not
/// at an end by a signal.
///
/// A `Limits{.core}` of your own stays. Rests on core(5) and gdb, and on the option `log_path` of
/// the sanitizers. A `log_path` of your own stays, and nothing of it is quoted.
struct PostMortem {
  bool core = true;        ///< raises the limit of core files, and removes the file after a look
  bool sanitizers = true;  ///< adds to ASAN_OPTIONS, and to those of the other sanitizers

  /// One run of a service.
  class Run {
   public:
    Run() = default;
    /// Prepares the request. Throws `std::system_error` if no directory for reports can be made.
    Run(const PostMortem& options, LaunchRequest& request);
    Run(Run&& other) noexcept { *this = std::move(other); }
    Run& operator=(Run&& other) noexcept {
      std::swap(reports_, other.reports_);
      std::swap(cwd_, other.cwd_);
      std::swap(core_, other.core_);
      std::swap(no_core_, other.no_core_);
      std::swap(began_, other.began_);
      return *this;
    }
    ~Run();

    /// The reports of sanitizers so far, the first lines of each; empty for none. Never throws.
    [[nodiscard]] std::string reports() const noexcept;
    /// The backtrace after an end by a signal, or why there is none. Takes at most 30 s.
    [[nodiscard]] std::string backtrace(pid_t leader) const noexcept;

   private:
    std::string reports_;  // a directory
    std::string cwd_;
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
