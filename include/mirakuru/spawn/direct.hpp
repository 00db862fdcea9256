// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <optional>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/spawn/launch.hpp>

namespace mirakuru {

/// A process that leads a session and process group of its own. Made by `DirectSpawner`.
class DirectProcess {
 public:
  /// Takes over the child `pid`, which leads its session. Rests on `pidfd_open`; without it in the
  /// kernel, `event()` is -1.
  explicit DirectProcess(pid_t pid);

  /// The id of the leader, the command's own process.
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// A descriptor that turns readable when there is news for `alive()`; -1: ask again after a
  /// pause.
  [[nodiscard]] int event() const noexcept { return exit_code_ ? -1 : pidfd_.get(); }
  /// True while the leader or any process of its group lives. Reaps the leader; never blocks.
  [[nodiscard]] bool alive();
  /// The leader's exit status once `alive()` has seen its end; minus the signal that ended it.
  [[nodiscard]] std::optional<int> exit_code() const noexcept { return exit_code_; }
  /// Sends `signal` to the whole group. Does nothing once the group is gone.
  void signal(int signal) noexcept;
  /// Sends `signal` to the leader alone.
  void signal_leader(int signal) noexcept;
  /// Stops all processes of the group, or lets them go on. True if it has been done. A signal that
  /// ends the group lets it go on.
  bool pause() noexcept;
  void resume() noexcept;
  /// The group that may not be signalled, in words; empty for none.
  [[nodiscard]] std::string trouble() const;
  /// True if the group belongs to another user, and SIGKILL is refused.
  [[nodiscard]] bool refused() const noexcept { return refused_; }

 private:
  pid_t pid_;
  pid_t owner_;  // a fork of the owner has a copy of this, and must not use it
  detail::UniqueFd pidfd_;
  std::optional<int> exit_code_;
  bool group_gone_ = false, killed_ = false, refused_ = false, paused_ = false;
};

/// Starts a command as the test's own child: the cheapest start.
///
/// A process that leaves the command's process group, like a daemon, is not followed. Nothing ends
/// the tree if the test itself is killed. The start does not copy the parent's memory.
///
/// A test that ignores SIGCHLD, or reaps every child, takes the exit status away. It then counts as
/// 0, unless the kernel tells it again. Linux does so from 6.15 on if the command has run for a
/// while. Rests on `clone`.
struct DirectSpawner {
  /// Starts the command and returns when it is executed. Throws `SpawnFailure` if the program or
  /// the directory cannot be used, else `std::system_error`.
  [[nodiscard]] DirectProcess spawn(const LaunchRequest& request) const;
};

namespace detail {

/// The exit code from the members `si_code` and `si_status` of a `siginfo_t`.
[[nodiscard]] int decode_exit(int code, int status) noexcept;

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/direct.ipp>
#endif
