// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/process.hpp>

namespace mirakuru {

namespace detail {

struct RlimitTag;
struct Report;

/// The control group of a command; empty for none.
struct Cgroup {
  std::string path = {};
  UniqueFd directory = {}, kill = {};
};

}  // namespace detail

/// A process and all that it has started, with a guardian above them.
class GuardedProcess {
 public:
  /// For spawners: starts a guardian, and below it the command, in `group` if there is one.
  [[nodiscard]] static GuardedProcess make(const LaunchRequest& launch, detail::Cgroup group = {});
  GuardedProcess(GuardedProcess&&) noexcept;
  GuardedProcess& operator=(GuardedProcess&&) noexcept;
  ~GuardedProcess();

  /// The leader.
  [[nodiscard]] pid_t pid() const noexcept { return leader_; }
  /// A descriptor that turns readable when there is news for `alive()`; -1: ask again after a
  /// pause.
  [[nodiscard]] int event() const noexcept { return guardian_ != 0 ? channel_.get() : -1; }
  /// True while the leader or anything that it has started lives, however it has detached itself.
  /// Blocks for no longer than the guardian takes to exit.
  [[nodiscard]] bool alive();
  /// The leader's exit status once `alive()` has seen its end; minus the signal that ended it.
  [[nodiscard]] std::optional<int> exit_code() const noexcept { return exit_code_; }
  /// Sends `signal` to the leader's group, and to what is left when the leader has ended or half of
  /// the signal's time has passed; SIGKILL to all of the tree.
  void signal(int signal) noexcept;
  /// Those that needed a signal of their own, as far as `alive()` has heard of them; the first
  /// hundred.
  [[nodiscard]] const std::vector<Straggler>& stragglers() const noexcept { return stragglers_; }
  /// What is wrong with the guardian; empty if nothing is.
  [[nodiscard]] const std::string& trouble() const noexcept { return trouble_; }

 private:
  GuardedProcess(pid_t guardian, detail::UniqueFd channel, const detail::RlimitTag& mark,
                 std::string tag, std::string cgroup);

  void await_leader();
  bool receive(bool& more);
  void take(const detail::Report& report);
  void add_straggler(pid_t pid, std::string command);
  bool drain();
  [[nodiscard]] bool guardian_has_ended();
  void reap_guardian();
  [[nodiscard]] bool is_ours(pid_t pid) const;
  bool kill_rest();

  pid_t guardian_;  // 0 when it has ended
  pid_t owner_;     // a child that the host forks has a copy of this, and no say in it
  pid_t leader_ = 0;
  bool reply_pending_ = false;    // the guardian, and it has not answered yet
  std::uint64_t mark_;            // 0: there was no room for one
  std::string env_tag_, cgroup_;  // a variable of the command's environment, its group's directory
  detail::UniqueFd channel_;
  detail::UniqueFd leader_fd_;
  std::optional<int> exit_code_;
  std::vector<Straggler> stragglers_;
  std::string trouble_;
  struct Killed {
    pid_t pid;
    unsigned long long started;
  };
  std::vector<Killed> killed_;  // when the guardian had ended
};

/// A guardian process above the command: nothing is left behind. The default.
///
/// `stop()` ends all that the command has started, also what has made a session of its own, has
/// cleared its environment or has become a daemon. When the owner ends, in whatever way, the
/// guardian ends the tree by the signal strategy, SIGKILL at the end of the stop budget. Should the
/// guardian itself be killed, the leader is, and the owner ends the rest with its next call.
///
/// The guardian is a fork of the owner, of which it keeps the program or library that it is part
/// of and the C library; the rest it gives back once the command runs. Data of more than a megabyte
/// apiece is left out of the copy when the owner is large and has a single thread (`MADV_DONTFORK`,
/// for the moment of the fork; advice of the owner's own to that end is undone); with more threads
/// a start takes some 15 ms a gigabyte, and as much again passes until the copy is given back.
/// Under sanitizers, profilers and Valgrind it stays, and where a program at a fixed address has a
/// library preloaded. The command inherits a limit on file locks (`RLIMIT_LOCKS`, which Linux does
/// not use) as a mark by which its descendants are known should the guardian be killed; so are
/// those that have `mirakuru_uuid` in their environment.
///
/// An owner that executes another program is not noticed as long as a child that it has forked, and
/// that has executed nothing, lives.
///
/// Rests on `clone`, `PR_SET_CHILD_SUBREAPER`, `signalfd`, `pidfd_open` and /proc.
struct GuardedSpawner {
  static constexpr Guarantee guarantee = Guarantee::tree_ends_with_owner;

  /// Throws `std::system_error` with the reason when the program cannot be executed.
  [[nodiscard]] GuardedProcess spawn(const LaunchRequest& launch) const {
    return GuardedProcess::make(launch);
  }
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/guarded.ipp>
#endif
