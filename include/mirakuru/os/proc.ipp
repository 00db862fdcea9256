// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <mirakuru/os/printable.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru::detail {

/// The first kilobytes of a file in /proc/PID; empty if the process is gone, or `errno` tells else.
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
  // "pid (name) state ppid pgrp ...": the name may hold anything, so look behind its last bracket.
  const auto name_end = text.rfind(')');
  ProcessStat stat;
  if (name_end != std::string::npos)
    std::sscanf(text.c_str() + name_end + 1,
                " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d %*d %llu",
                &stat.state, &stat.parent, &stat.group, &stat.threads, &stat.started);
  else if (error != ENOENT && error != ESRCH)
    stat.state = '?';
  return stat;
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
