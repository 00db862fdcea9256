// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <optional>

#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/process.hpp>

namespace mirakuru {

/// A process that leads a session and process group of its own.
class DirectProcess {
 public:
  /// Takes over the child `pid`, which leads its session. Rests on `pidfd_open`; where the kernel
  /// has it not, `event()` is -1.
  explicit DirectProcess(pid_t pid);

  /// The leader.
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// A descriptor that turns readable when there is news for `alive()`; -1: ask again after a
  /// pause.
  [[nodiscard]] int event() const noexcept { return exit_code_ ? -1 : pidfd_.get(); }
  /// True while the leader or anything of its process group lives. Reaps the leader; never blocks.
  [[nodiscard]] bool alive();
  /// The leader's exit status once `alive()` has seen its end; minus the signal that ended it.
  [[nodiscard]] std::optional<int> exit_code() const noexcept { return exit_code_; }
  /// Sends `signal` to the whole group. Nothing happens when nothing of it is left.
  void signal(int signal) noexcept;

 private:
  pid_t pid_;
  pid_t owner_;  // a child that the host forks has a copy of this, and no say in it
  detail::UniqueFd pidfd_;
  std::optional<int> exit_code_;
  bool group_gone_ = false;
};

/// The cheapest start: the command is the test's own child.
///
/// What leaves the command's process group (a daemon) is not followed, and nothing ends the tree
/// when the test itself is killed. The parent's memory is not copied, whatever its size. A test
/// that ignores SIGCHLD, or reaps every child, takes the exit status away: it counts as 0 unless
/// the kernel tells it again, which it does from 6.15 on if the command has not ended at once.
/// Rests on `posix_spawn`.
struct DirectSpawner {
  /// Throws `std::system_error` with the reason when the program cannot be executed.
  [[nodiscard]] DirectProcess spawn(const LaunchRequest& launch) const;
};

namespace detail {

/// Reads a child's end as `exit_code()` gives it. `code` and `status` are those of `siginfo_t`.
[[nodiscard]] int decode_exit(int code, int status) noexcept;
/// True while a process of this group exists that is no zombie. Reads /proc.
[[nodiscard]] bool group_lives(pid_t group);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/direct.ipp>
#endif
