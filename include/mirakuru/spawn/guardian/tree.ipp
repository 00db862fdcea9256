// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/random.h>
#include <sys/resource.h>

#include <mirakuru/os/errno.hpp>
#include <mirakuru/spawn/guardian/tree.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL RlimitTag RlimitTag::make() {
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

MIRAKURU_DECL void Tree::add(pid_t pid) {
  if (found_count_ < max_found) found_[found_count_++] = pid;
}

MIRAKURU_DECL bool Tree::found(pid_t pid) const {
  int i = 0;
  while (i < found_count_ && found_[i] != pid) ++i;
  return i < found_count_;
}

MIRAKURU_DECL void Tree::find(pid_t root) {
  found_count_ = 0;
  // In a pid namespace, /proc may be missing or may show the namespace around it.
  char own[16] = {};
  syscalls::call(SYS_readlinkat, AT_FDCWD, "/proc/self", own, sizeof own - 1);
  const char* digits = own;
  proc_is_own_ = static_cast<pid_t>(number_at(digits)) == root;
  if (!proc_is_own_) return find_marked();
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

/// Finds the tree by its mark, among all possible ids.
MIRAKURU_DECL void Tree::find_marked() {
  constexpr pid_t most_ids = 1 << 22;
  for (pid_t pid = 2; pid < most_ids; ++pid) {
    std::uint64_t limit[2];
    if (syscalls::call(SYS_prlimit64, pid, RLIMIT_LOCKS, nullptr, limit) == 0 &&
        mark_.is_on(limit[0], limit[1]))
      add(pid);
  }
}

/// /proc lists a child at the thread that has made it.
MIRAKURU_DECL void Tree::find_children(pid_t parent) {
  syscalls::each_number(syscalls::Path{} << "/proc/" << parent << "/task", [=, this](pid_t thread) {
    syscalls::File children{syscalls::Path{} << "/proc/" << parent << "/task/" << thread
                                             << "/children"};
    pid_t child = 0;
    for (char c; (c = children.get()) != '\0';) {
      if (c != ' ') {
        child = child * 10 + (c - '0');
      } else {
        add(child);
        child = 0;
      }
    }
  });
}

MIRAKURU_DECL ProcessStat Tree::stat(pid_t pid) const {
  ProcessStat stat;
  if (!proc_is_own_) {
    stat.state = '?';
    return stat;
  }
  char text[512];
  syscalls::read_file(syscalls::Path{} << "/proc/" << pid << "/stat", text);
  return stat_fields(text);
}

}  // namespace mirakuru::detail
