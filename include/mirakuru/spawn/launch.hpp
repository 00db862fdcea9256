// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <chrono>
#include <map>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/stop/signals.hpp>

// The words between an executor and its spawner.

namespace mirakuru {

/// How far a spawner keeps a command's processes together.
enum class Guarantee {
  group_only,            ///< `stop()` ends the process group. It stays if the owner is killed.
  tree_ends_with_owner,  ///< `stop()` ends the whole tree. So does the owner's death in any way.
};

/// A process that was still alive when the leader had ended, and got a signal of its own.
struct Straggler {
  pid_t pid;
  std::string command;  ///< its command line, cut at 240 characters
};

/// A command as the user asked for it, and how to end it. A spawner gets one for each start.
///
/// A request owns its data, apart from the three descriptors. A spawner may change its copy and
/// hand it to another spawner. Nothing is looked up yet: `local_exec` does that for a command that
/// runs on this machine.
struct LaunchRequest {
  std::vector<std::string> words = {};          ///< the program and its arguments; not empty
  std::string cwd = {};                         ///< the directory to run in; empty: the caller's
  std::map<std::string, std::string> env = {};  ///< added to the caller's environment
  /// The value of the variable `mirakuru_uuid`, "<pid>:<uuid>": one for each executor.
  std::string id = {};
  int in = -1, out = -1, err = -1;     ///< the command's standard streams; -1: the caller's own
  std::vector<SignalStep> steps = {};  ///< the strategy's signals, for the owner's death
  std::chrono::nanoseconds stop_budget = {};  ///< the time for them; SIGKILL follows
  /// The time until the command is executed, from the call on.
  std::chrono::nanoseconds start_budget = std::chrono::nanoseconds::max();
};

/// A command that cannot be run. `what()` tells the failed step and the reason: "cannot run
/// redis-server: no such file or directory", and in a second line "looked up in PATH=/bin".
///
/// A spawner throws it to choose the whole headline of the user's `SpawnError`. Of any other
/// `std::system_error` it is "cannot start: " and its `what()`.
class SpawnFailure : public std::system_error {
 public:
  /// `step` is the failed step, `code` the system's error; an empty `reason` is the text of `code`.
  SpawnFailure(const std::string& step, std::error_code code, const std::string& reason = {});

  [[nodiscard]] const char* what() const noexcept override { return text_.what(); }

 private:
  std::runtime_error text_;  // unlike a std::string, its copy does not throw
};

/// The two things that `execve` needs besides the words of a request.
struct LocalExec {
  std::string program;                   ///< a path; a relative one starts at the request's `cwd`
  std::vector<std::string> environment;  ///< each variable as "NAME=value"
};

/// Resolves a request that is executed on this machine.
///
/// A program without a slash is looked up in the PATH that the command will have. The environment
/// is the caller's, then `env`, then `mirakuru_uuid`. Throws `SpawnFailure` if the directory or the
/// program cannot be used. Source: POSIX.1-2017, XBD 8.3 (PATH).
[[nodiscard]] LocalExec local_exec(const LaunchRequest& request);

namespace detail {

/// The failure of `execve` for a program that `local_exec` has found; `error` is an errno value.
[[nodiscard]] SpawnFailure exec_failure(const std::string& program, int error);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/launch.ipp>
#endif
