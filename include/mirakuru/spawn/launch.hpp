// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/stop/signals.hpp>

// The words between an executor and its spawner.

namespace mirakuru {

class Probe;
class Process;

/// How far a spawner keeps a command's processes together.
enum class Guarantee {
  group_only,            ///< `stop()` ends the process group. It stays if the owner is killed.
  tree_ends_with_owner,  ///< `stop()` ends the whole tree. So does the owner's death in any way.
  /// The command runs on another machine, below a shell there. That ends the process group when the
  /// connection ends, in any way, and all processes that still have the command's environment. If
  /// the shell there is killed, they stay.
  far_group_ends_with_connection,
  /// An engine such as Podman runs the command. After the owner's death the guardian has the engine
  /// end it. If the guardian is killed, it may stay.
  engine_ends_it,
};

/// A process that was still alive when the leader had ended, and got a signal of its own.
struct Straggler {
  pid_t pid;
  std::string command;  ///< its command line, cut at 240 characters
};

/// A limit of the kernel for a process and its descendants. Source: setrlimit(2).
struct ResourceLimit {
  int resource;  ///< such as `RLIMIT_NOFILE`
  std::uint64_t soft, hard;
};

/// A stream that the guardian copies while the tree lives.
struct Relay {
  int from;  ///< a file that grows, or the controlling side of a terminal
  int to;    ///< a file, or the test's standard error
  /// Goes in front of each line of a file; a terminal's output is copied as it is.
  std::string label = {};
  bool from_terminal = false;
};

/// A tree that several programs use. The guardian keeps it while one of them has a lease, a
/// connection to it; the owner's death alone ends nothing.
struct Leasing {
  int listener;            ///< the listening socket by which further programs join
  int starter;             ///< the guardian's end of the owner's lease
  int input = -1;          ///< the writing end of standard input, kept open; -1 for none
  int out = -1, err = -1;  ///< the output's files for those that join; -1 for none
  std::string greeting;    ///< bytes for those that join
  std::chrono::nanoseconds linger = {};  ///< from the end of the last lease to the first signal
};

/// A command that runs on another machine, below a guardian there: a shell that reads its orders
/// from the standard input of the local command, such as ssh. The local guardian writes them.
struct FarCommand {
  std::string opening;             ///< bytes that the local command reads first
  std::string mark;                ///< the far guardian's own lines in standard error have it
  std::string program, directory;  ///< the command's, for messages
  std::string place;               ///< the host or engine, for messages
  std::string host = {};           ///< the machine's name here; empty: it tells its own
  int tasks = 1;                   ///< how many far guardians the local command starts at least
  /// Makes a probe whose reasons say why the command is not executed yet; none if nobody knows.
  std::function<std::shared_ptr<Probe>(const Process&)> why_not_yet = {};
};

/// How far a command on another machine has come.
struct FarState {
  FarCommand command;
  bool executed = false;
  pid_t pid = 0;          ///< of the leader there, once it is executed
  std::string host = {};  ///< the machine that it runs on
};

/// A command as the user asked for it, and how to end it. A spawner gets one for each start.
///
/// A request owns its data, apart from the three standard streams. A spawner may change its copy
/// and hand it to another spawner. Nothing is looked up yet: `local_exec` does that for a command
/// that runs on this machine.
struct LaunchRequest {
  std::vector<std::string> words = {};          ///< the program and its arguments; not empty
  std::string cwd = {};                         ///< the directory to run in; empty: the caller's
  std::map<std::string, std::string> env = {};  ///< added to the inherited environment
  /// The value of the variable `mirakuru_uuid`, "<pid>:<uuid>": one for each executor.
  std::string id = {};
  int in = -1, out = -1, err = -1;     ///< the command's standard streams; -1: the caller's own
  std::vector<SignalStep> steps = {};  ///< the strategy's signals, for the owner's death
  std::chrono::nanoseconds stop_budget = {};  ///< the time for them; SIGKILL follows
  /// The time until the command is executed, from the call on.
  std::chrono::nanoseconds start_budget = std::chrono::nanoseconds::max();
  std::chrono::nanoseconds head_start = {};  ///< from the owner's death to the first signal
  std::vector<std::string> unset = {};       ///< variables that are not inherited
  bool clean_env = false;                    ///< no variable is inherited
  std::string user = {};                     ///< the user to run as; empty: the caller's own
  std::vector<ResourceLimit> limits = {};
  bool terminal = false;  ///< `out` is a terminal, and becomes the controlling one
  std::vector<Relay> relays = {};
  /// A directory that goes with the tree after the owner's death; empty for none.
  std::string scratch = {};
  std::optional<Leasing> leases = {};  ///< none: the tree is the owner's alone
  std::optional<FarCommand> far = {};  ///< none: the words are the command itself
  /// Commands that end the rest elsewhere, such as a container. The guardian runs each for at most
  /// 8 s: before it kills the tree, and when the tree has ended, unless a far guardian has said
  /// that all is gone. After one that took longer it runs none.
  std::vector<std::vector<std::string>> clean_up = {};
  /// Further descriptors of the command, each by its number there: 3 or more, and at most
  /// `most_descriptors` of them.
  /// A spawner that starts the command on another machine cannot give them.
  std::map<int, std::shared_ptr<const detail::UniqueFd>> descriptors = {};
  static constexpr std::size_t most_descriptors = 16;
  /// Called with the time so far while the command is not executed yet: after 5 s, then after twice
  /// as long each time. A spawner that cannot tell does not call it.
  std::function<void(std::chrono::nanoseconds)> still_waits = [](auto) {};
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

/// The ids of a user.
struct Identity {
  using Number = std::uint32_t;  // as the kernel has it

  Number user, group;
  std::vector<Number> groups;
};

/// The things that a new process needs besides those of a request.
struct LocalExec {
  std::string program;                    ///< a path; a relative one starts at the request's `cwd`
  std::vector<std::string> environment;   ///< each variable as "NAME=value"
  std::optional<Identity> identity = {};  ///< none: the caller's own
};

/// Resolves a request that is executed on this machine.
///
/// A program without a slash is looked up in the PATH that the command will have. The environment
/// is the caller's, then `env`, then `mirakuru_uuid`. Throws `SpawnFailure` if the directory, the
/// program or the user cannot be used. Rests on getpwnam(3). Source: POSIX.1-2017, XBD 8.3 (PATH).
[[nodiscard]] LocalExec local_exec(const LaunchRequest& request);

namespace detail {

/// The ids of the user `name`, if it is not the caller. Throws `SpawnFailure` for an unknown user
/// and for a caller that is not root. Rests on getpwnam(3) and getgrouplist(3).
[[nodiscard]] std::optional<Identity> identity_of(const std::string& name);

/// The step that fails if a command cannot enter its directory.
[[nodiscard]] std::string place_step(const LaunchRequest& request);

/// The failure of `execve` for a program that `local_exec` has found; `error` is an errno value.
[[nodiscard]] SpawnFailure exec_failure(const std::string& program, int error);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/launch.ipp>
#endif
