// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>
#include <sys/types.h>
#include <cstdint>

#include <mirakuru/os/config.hpp>
#include <mirakuru/spawn/guardian/syscalls.hpp>

// The processes below a guardian.

namespace mirakuru::detail {

/// The limit on file locks that a command inherits; Linux does not use it. It marks the command's
/// descendants, also those with an environment or a parent of their own. By it they are found when
/// their guardian has been killed.
///
/// Below another guardian the hard limit is the mark of that one and stays; the soft limit is ours.
struct RlimitTag {
  std::uint64_t soft = 0, hard = 0;  // zero: no number is left for a mark

  /// Throws `std::system_error`. Rests on `getrandom`.
  [[nodiscard]] static RlimitTag make();
  /// True for the limits of a process with this mark, soft or hard.
  [[nodiscard, gnu::visibility("hidden")]] bool is_on(std::uint64_t its_soft,
                                                      std::uint64_t its_hard) const noexcept {
    return soft != 0 && (its_soft == soft || its_hard == soft);
  }
};

/// All processes below the guardian, and who of them has got a signal.
class [[gnu::visibility("hidden")]] Tree {
 public:
  explicit Tree(RlimitTag mark) : mark_{mark} {}

  [[nodiscard]] const RlimitTag& mark() const noexcept { return mark_; }

  /// Finds the tree below `root`, the calling process. The next call finds later births.
  void find(pid_t root);

  /// Begins a step: nobody has got its signal.
  void begin_step() noexcept { signalled_count_ = 0; }
  /// Signals each process found that has not got the signal yet, and calls `visit` before that. The
  /// `group` has got it as a whole; 0 for none. Without `everyone` it only wakes stopped members.
  template <class Visit>
  void send(int signal, pid_t group, bool everyone, Visit visit);

 private:
  static constexpr int max_found = 4096, max_signalled = 1024;

  void add(pid_t pid);
  [[nodiscard]] bool found(pid_t pid) const;
  void find_marked();
  void find_children(pid_t parent);
  [[nodiscard]] ProcessStat stat(pid_t pid) const;

  RlimitTag mark_;
  bool proc_is_own_ = true;  // /proc shows this pid namespace
  int found_count_ = 0, signalled_count_ = 0;
  pid_t found_[max_found];
  pid_t signalled_[max_signalled];  // each by its own id, since begin_step()
};

template <class Visit>
void Tree::send(int signal, pid_t group, bool everyone, Visit visit) {
  for (int i = 0; i < found_count_; ++i) {
    const pid_t pid = found_[i];
    const auto process = stat(pid);
    if (!process.lives()) continue;
    const bool by_group = group != 0 && process.group == group;
    bool has_it = by_group;
    for (int j = 0; j < signalled_count_ && !has_it; ++j) has_it = signalled_[j] == pid;
    if (!has_it && everyone) {
      has_it = true;
      visit(pid);
      if (signalled_count_ < max_signalled) signalled_[signalled_count_++] = pid;
      syscalls::call(SYS_kill, pid, signal);
    }
    // The whole group, as a member may hand over to its child. Again, as the id may be a new one's.
    if (has_it && !by_group && signal == SIGKILL)
      syscalls::call(SYS_kill, process.group > 1 ? -process.group : pid, SIGKILL);
    // A stopped process does not see the signal.
    if (has_it && process.state == 'T') syscalls::call(SYS_kill, pid, SIGCONT);
  }
}

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/guardian/tree.ipp>
#endif
