// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/spawn/guardian/places.hpp>
#include <mirakuru/spawn/guardian/rest.hpp>
#include <mirakuru/spawn/launch.hpp>

namespace mirakuru {

namespace detail {
struct Report;
}  // namespace detail

/// A command and all its descendants, with a guardian above them. Made by `GuardedSpawner` and
/// `CgroupSpawner`.
class GuardedProcess {
 public:
  /// For spawners: starts a guardian, and below it the command, in `group` if it is not empty.
  /// `exec` comes from `local_exec`. Throws `std::system_error`, for the program `SpawnFailure`.
  [[nodiscard]] static GuardedProcess make(const LaunchRequest& asked, LocalExec exec,
                                           detail::Cgroup group = {});
  GuardedProcess(GuardedProcess&&) noexcept;
  GuardedProcess& operator=(GuardedProcess&&) noexcept;
  ~GuardedProcess();

  /// The id of the leader, the command's own process.
  [[nodiscard]] pid_t pid() const noexcept { return leader_; }
  /// The id of the guardian; 0 when it has ended.
  [[nodiscard]] pid_t guardian() const noexcept { return guardian_; }
  /// The mark of its tree; 0 for none.
  [[nodiscard]] std::uint64_t mark() const noexcept { return rest_.mark(); }
  /// A descriptor that turns readable when there is news for `alive()`; -1: ask again after a
  /// pause.
  [[nodiscard]] int event() const noexcept { return guardian_ != 0 ? channel_.get() : -1; }
  /// True while the leader or any descendant lives, also a detached one. Blocks only while the
  /// guardian exits, and for a second at most while the rest of one that was killed ends. Throws
  /// `std::system_error`.
  [[nodiscard]] bool alive();
  /// The leader's exit status once `alive()` has seen its end; minus the signal that ended it.
  [[nodiscard]] std::optional<int> exit_code() const noexcept { return exit_code_; }
  /// Sends `signal` to the leader's group. The rest of the tree gets it 2 ms after the leader's
  /// end, or after half of the signal's time. SIGKILL goes to the whole tree at once.
  void signal(int signal) noexcept;
  /// Sends `signal` to the leader alone.
  void signal_leader(int signal) noexcept;
  /// Stops all processes of the tree, or lets them go on. Returns when they have stopped; false if
  /// that takes longer than 5 s. A signal that ends the tree lets it go on first. Rests on SIGSTOP
  /// and SIGCONT, and on `cgroup.freeze` in a control group.
  bool pause() noexcept;
  void resume() noexcept;
  /// The processes that needed a signal of their own; the first hundred. Renewed by `alive()`.
  [[nodiscard]] const std::vector<Straggler>& stragglers() const noexcept { return stragglers_; }
  /// A failure of the guardian, or the process that may not be signalled, in words; empty for none.
  [[nodiscard]] const std::string& trouble() const noexcept { return trouble_; }
  /// The state of a command that runs on another machine; null for one that runs here.
  [[nodiscard]] const FarState* far() const noexcept { return far_ ? &*far_ : nullptr; }
  /// True if a process of the tree belongs to another user, and SIGKILL is refused.
  [[nodiscard]] bool refused() const noexcept { return refused_; }

 private:
  GuardedProcess() = default;

  void await_leader(const LaunchRequest& request);
  bool receive(bool& more);
  void take(const detail::Report& report);
  void take_far(const detail::Report& report);
  void add_straggler(pid_t pid, const std::string& command);
  void refuse(pid_t pid, const std::string& command);
  void send() noexcept;
  bool drain();
  [[nodiscard]] bool guardian_has_ended();
  void reap_guardian();
  bool kill_rest();

  pid_t guardian_ = 0;  // 0 when it has ended
  pid_t owner_ = 0;     // a fork of the owner has a copy of this, and must not use it
  pid_t leader_ = 0;
  pid_t first_id_ = 0;  // the tree's ids are later ones
  bool signalled_ = false, refused_ = false;
  std::optional<int> paused_;  // the guardian's answer: 1 if all have stopped
  unsigned char unsent_ = 0;   // the last signal, if the channel was full
  detail::TreeRest rest_;      // after the guardian's end
  std::string program_;
  std::string place_;   // the failed step if the directory cannot be entered
  std::string cgroup_;  // a directory
  detail::UniqueFd channel_;
  detail::UniqueFd leader_fd_;
  std::optional<int> exit_code_;
  std::vector<Straggler> stragglers_;
  std::string trouble_;
  std::optional<FarState> far_;
};

/// Starts a command below a guardian process, which leaves nothing behind. The default.
///
/// `stop()` ends all that the command has started. That includes daemons, processes in a session of
/// their own, and processes with a cleared environment. If the owner ends in any way, the guardian
/// ends the tree. It sends the signals of the strategy, and SIGKILL at the end of the stop budget.
/// If the guardian itself is killed, the kernel kills the leader. The owner then ends the rest with
/// its next call.
///
/// The guardian is a fork of the owner. It keeps the C library and its own program or library, and
/// unmaps the rest once the command runs. An owner with one thread and more than 64 MB leaves data
/// of more than 1 MB apiece out of the fork. That uses `MADV_DONTFORK` for a moment, and cancels
/// the owner's own use of it. With more threads, a start takes about 15 ms a gigabyte, and the
/// unmapping as much again. The memory stays under sanitizers, profilers and Valgrind. It also
/// stays in a program at a fixed address with a preloaded library.
///
/// The command inherits a limit on file locks (`RLIMIT_LOCKS`), which Linux does not use. The limit
/// marks its descendants, for the case that the guardian is killed. So does the variable
/// `mirakuru_uuid` in their environment.
///
/// The guardian may miss that the owner executes another program. It does so while a fork of the
/// owner lives that has executed nothing. A start fails if the command is not executed within the
/// start budget, or one second if that is longer.
///
/// Rests on `clone`, `PR_SET_CHILD_SUBREAPER`, `signalfd`, `pidfd_open` and /proc.
struct GuardedSpawner {
  static constexpr Guarantee guarantee = Guarantee::tree_ends_with_owner;

  /// Starts the command and returns when it is executed. Throws `SpawnFailure` if the program or
  /// the directory cannot be used, else `std::system_error`.
  [[nodiscard]] GuardedProcess spawn(const LaunchRequest& request) const {
    return GuardedProcess::make(request, local_exec(request));
  }
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/guarded.ipp>
#endif
