// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>

#include <mirakuru/os/printable.hpp>
#include <mirakuru/os/proc.hpp>

namespace mirakuru::detail {

/// The first 4 kB of a file in /proc/PID. Empty on failure, with the reason in `errno`.
inline std::string read_proc(pid_t pid, const char* name) {
  const UniqueFd file{
      ::open(("/proc/" + std::to_string(pid) + '/' + name).c_str(), O_RDONLY | O_CLOEXEC)};
  char text[4096];
  const auto size = file ? ::read(file.get(), text, sizeof text) : -1;
  return {text, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
}

MIRAKURU_DECL ProcessStat process_stat(pid_t pid) {
  const auto text = read_proc(pid, "stat");
  const int error = errno;
  auto stat = stat_fields(text.c_str());
  if (text.empty() && error != ENOENT && error != ESRCH) stat.state = '?';
  return stat;
}

MIRAKURU_DECL UniqueFd open_pidfd(pid_t pid) noexcept {
  return UniqueFd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
}

MIRAKURU_DECL std::string command_line(pid_t pid) {
  auto text = read_proc(pid, "cmdline");
  while (!text.empty() && text.back() == '\0') text.pop_back();
  if (text.empty()) {
    text = '[' + read_proc(pid, "comm");
    if (text.back() == '\n') text.pop_back();
    return text + ']';
  }
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

MIRAKURU_DECL std::string describe_process(pid_t pid) {
  return "pid " + std::to_string(pid) + " (" + one_line(command_line(pid)) + ')';
}

}  // namespace mirakuru::detail
