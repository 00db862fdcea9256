// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <dirent.h>
#include <sys/types.h>
#include <cstdlib>
#include <memory>
#include <string>

#include <mirakuru/os/config.hpp>

namespace mirakuru::detail {

/// Calls `visit` with the id of each process in /proc until it returns false. False when /proc
/// cannot be read.
template <class Visit>
bool for_each_pid(Visit visit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> proc{::opendir("/proc"), ::closedir};
  if (!proc) return false;
  while (const dirent* entry = ::readdir(proc.get()))
    if (const pid_t pid = std::atoi(entry->d_name); pid > 0 && !visit(pid)) break;
  return true;
}

/// What a process is now; `state` is 0 for one that is gone, and '?' when that cannot be told.
/// Source: proc_pid_stat(5).
struct ProcessStat {
  char state = 0;
  pid_t parent = 0, group = 0;
  int threads = 0;
  unsigned long long started = 0;  // clock ticks after the system's

  /// A zombie lives on in its threads when only the first of them has ended.
  [[nodiscard]] bool lives() const noexcept {
    return state != 0 && ((state != 'Z' && state != 'X') || threads > 1);
  }
};
[[nodiscard]] ProcessStat process_stat(pid_t pid);

/// A process's arguments, blanks between them; its name in brackets where it has none.
[[nodiscard]] std::string command_line(pid_t pid);

/// "pid 42 (nginx -p /tmp)".
[[nodiscard]] std::string describe_process(pid_t pid);

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/os/proc.ipp>
#endif
