// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <dirent.h>
#include <sys/types.h>
#include <cstdlib>
#include <memory>
#include <string>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/stat_fields.hpp>
#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru::detail {

/// Calls `visit(pid)` for each process in /proc until it returns false. False if /proc cannot be
/// read.
template <class Visit>
bool for_each_pid(Visit visit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> proc{::opendir("/proc"), ::closedir};
  if (!proc) return false;
  while (const dirent* entry = ::readdir(proc.get()))
    if (const pid_t pid = std::atoi(entry->d_name); pid > 0 && !visit(pid)) break;
  return true;
}

/// The state of a process now; none for one that is gone. Rests on /proc/PID/stat.
[[nodiscard]] ProcessStat process_stat(pid_t pid);

/// A descriptor that turns readable when the process ends; none if it is gone, or if the kernel has
/// no `pidfd_open`.
[[nodiscard]] UniqueFd open_pidfd(pid_t pid) noexcept;

/// The arguments of a process, separated by blanks; its name in brackets if it has no arguments.
[[nodiscard]] std::string command_line(pid_t pid);

/// "pid 42 (nginx -p /tmp)".
[[nodiscard]] std::string describe_process(pid_t pid);

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/os/proc.ipp>
#endif
