// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <mirakuru/os/syscalls.hpp>
#include <mirakuru/os/unique_fd.hpp>

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
  [[nodiscard]] static RlimitTag make() {
    // So large that nobody else has them, and no larger than an unprivileged process may set.
    constexpr std::uint64_t least = std::uint64_t{1} << 61, most = std::uint64_t{1} << 62;
    rlimit limit{};
    ::getrlimit(RLIMIT_LOCKS, &limit);
    if (limit.rlim_max <= least) return {};
    std::uint64_t random = 0;
    if (::getrandom(&random, sizeof random, 0) != sizeof random) throw_errno("getrandom");
    const bool below_another = limit.rlim_max < most;
    const auto soft = least + random % ((below_another ? limit.rlim_max : most) - least);
    return {.soft = soft, .hard = below_another ? limit.rlim_max : soft};
  }

  /// True for the limits of a process with this mark, soft or hard.
  [[nodiscard, gnu::visibility("hidden")]] bool is_on(const RlimitTag& limits) const noexcept {
    return soft != 0 && (limits.soft == soft || limits.hard == soft);
  }
};

/// All processes below the guardian, and who of them has got a signal.
class [[gnu::visibility("hidden")]] Tree {
 public:
  explicit Tree(RlimitTag mark) : mark_{mark} {}

  [[nodiscard]] const RlimitTag& mark() const noexcept { return mark_; }

  /// Finds the tree below `root`, the calling process. The next call finds later births.
  void find(pid_t root) {
    // In a pid namespace, /proc may be missing or may show the namespace around it.
    char own[16] = {};
    const char* digits = own;
    if (syscalls::call(SYS_readlinkat, AT_FDCWD, "/proc/self", own, sizeof own - 1) > 0)
      proc_is_own_ = static_cast<pid_t>(number_at(digits)) == root;
    else if (errno != ENOMEM)
      proc_is_own_ = false;
    if (!proc_is_own_) return find_marked(root);
    found_count_ = 0;
    if (syscalls::call(SYS_faccessat, AT_FDCWD, "/proc/thread-self/children", R_OK) == 0) {
      find_children(root);
      for (int i = 0; i < found_count_; ++i) find_children(found_[i]);
      return;
    }
    // A kernel without CONFIG_PROC_CHILDREN: search all processes, once for each generation.
    for (int before = -1; before != found_count_;) {
      before = found_count_;
      syscalls::each_number("/proc", [&](pid_t pid) {
        if (const auto process = stat(pid);
            process.state != 0 && (process.parent == root || found(process.parent)) && !found(pid))
          add(pid);
      });
    }
  }

  /// False if the next find() goes on with the same search.
  [[nodiscard]] bool search_is_complete() const noexcept { return proc_is_own_ || next_id_ == 0; }

  /// Begins a step: nobody has got its signal.
  void begin_step() noexcept { signalled_count_ = 0; }
  /// A process that may not be signalled, by the last send(); 0 for none.
  [[nodiscard]] pid_t refused() const noexcept { return refused_; }
  /// Stops each process found, or lets it go on. True if one was not in that state yet. One that
  /// waits in the kernel stops before it goes on, and one that has called vfork() waits for its
  /// child, which is stopped. Without a /proc it cannot tell, and trusts the signal.
  bool suspend(bool stop) {
    bool changed = false;
    for (int i = 0; i < found_count_; ++i) {
      const auto process = stat(found_[i]);
      const bool stopped = process.state == 'T' || process.state == 't';
      if (!process.lives() || (process.state != '?' && stopped == stop)) continue;
      syscalls::call(SYS_kill, found_[i], stop ? SIGSTOP : SIGCONT);
      changed |= process.state != '?' && process.state != 'D';
    }
    return changed;
  }
  /// Signals each process found that has not got the signal yet, and calls `visit` before that. The
  /// `group` has got it as a whole; 0 for none. Without `everyone` it only wakes stopped members.
  template <class Visit>
  void send(int signal, pid_t group, bool everyone, Visit visit) {
    refused_ = 0;
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
      // The whole group, as a member may hand over to its child. Again, as the id may be a new
      // one's.
      if (has_it && !by_group && signal == SIGKILL && process.group > 1)
        syscalls::call(SYS_kill, -process.group, SIGKILL);
      // A group has the signal if one member may get it.
      if (signal == SIGKILL && syscalls::call(SYS_kill, pid, SIGKILL) != 0 && errno == EPERM)
        refused_ = pid;
      // A stopped process does not see the signal.
      if (has_it && process.state == 'T') syscalls::call(SYS_kill, pid, SIGCONT);
    }
  }

 private:
  static constexpr int max_found = 4096, max_signalled = max_found;

  void add(pid_t pid) {
    if (found_count_ < max_found) found_[found_count_++] = pid;
  }

  bool found(pid_t pid) const {
    int i = 0;
    while (i < found_count_ && found_[i] != pid) ++i;
    return i < found_count_;
  }

  [[nodiscard]] bool is_marked(pid_t pid) const {
    RlimitTag limits;
    return syscalls::call(SYS_prlimit64, pid, RLIMIT_LOCKS, nullptr, &limits) == 0 &&
           mark_.is_on(limits);
  }

  /// Finds the tree by its mark. Each call looks at the ids that follow `root`, which are the
  /// likely ones, and at a part of all others: all together take seconds.
  void find_marked(pid_t root) {
    constexpr pid_t most_ids = 1 << 22, ids_a_call = 1 << 14;
    int left = 0;
    for (int i = 0; i < found_count_; ++i)
      if (is_marked(found_[i])) found_[left++] = found_[i];
    found_count_ = left;
    const auto search = [this](pid_t from, pid_t count) {
      for (pid_t pid = from; pid < most_ids && pid - from < count; ++pid)
        if (is_marked(pid) && !found(pid)) add(pid);
    };
    search(root + 1, ids_a_call);
    if (next_id_ == 0) next_id_ = 2;
    search(next_id_, ids_a_call);
    next_id_ += ids_a_call;
    if (next_id_ >= most_ids) next_id_ = 0;
  }

  /// /proc lists a child at the thread that has made it.
  void find_children(pid_t parent) {
    const auto threads = syscalls::Path{} << "/proc/" << parent << "/task";
    if (has_one_thread(threads)) return add_children(parent, parent);
    syscalls::each_number(threads, [=, this](pid_t thread) { add_children(parent, thread); });
  }
  void add_children(pid_t parent, pid_t thread) {
    syscalls::File children{syscalls::Path{} << "/proc/" << parent << "/task/" << thread
                                             << "/children"};
    pid_t child = 0;
    for (char c; (c = children.get()) != '\0';) {
      if (c == ' ') add(child);
      child = c == ' ' ? 0 : child * 10 + (c - '0');
    }
  }
  /// True if it is certain. A directory has a link for each directory in it, and two of its own.
  static bool has_one_thread(const char* threads) {
    struct statx stat;
    return syscalls::call(SYS_statx, AT_FDCWD, threads, 0, STATX_NLINK, &stat) == 0 &&
           (stat.stx_mask & STATX_NLINK) != 0 && stat.stx_nlink == 3;
  }

  ProcessStat stat(pid_t pid) const {
    if (!proc_is_own_) return {.state = '?'};
    char text[512];
    syscalls::read_file(syscalls::Path{} << "/proc/" << pid << "/stat", text);
    return stat_fields(text);
  }

  RlimitTag mark_;
  bool proc_is_own_ = true;  // /proc shows this pid namespace
  pid_t next_id_ = 0;        // of a search among all ids; 0: it is complete
  pid_t refused_ = 0;
  int found_count_ = 0, signalled_count_ = 0;
  pid_t found_[max_found];
  pid_t signalled_[max_signalled];  // each by its own id, since begin_step()
};

}  // namespace mirakuru::detail
