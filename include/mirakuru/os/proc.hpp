// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>
#include <vector>

#include <mirakuru/os/printable.hpp>
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

/// The first 4 kB of a file in /proc/PID. Empty on failure, with the reason in `errno`.
inline std::string read_proc(pid_t pid, const char* name) {
  const UniqueFd file{
      ::open(("/proc/" + std::to_string(pid) + '/' + name).c_str(), O_RDONLY | O_CLOEXEC)};
  char text[4096];
  const auto size = file ? ::read(file.get(), text, sizeof text) : -1;
  return {text, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
}

/// The state of a process now; none for one that is gone. Rests on /proc/PID/stat.
[[nodiscard]] inline ProcessStat process_stat(pid_t pid) {
  const auto text = read_proc(pid, "stat");
  const int error = errno;
  auto stat = stat_fields(text.c_str());
  if (text.empty() && error != ENOENT && error != ESRCH) stat.state = '?';
  return stat;
}

/// True if /proc shows the pid namespace of this process.
[[nodiscard]] inline bool proc_is_own() {
  char own[16] = {};
  return ::readlink("/proc/self", own, sizeof own - 1) > 0 && std::atoi(own) == ::getpid();
}

/// The living processes of a tree: the leader, its group, and all below the leader and below the
/// guardian, which does not belong to it (0: none). Without /proc there are none.
[[nodiscard, gnu::cold]] inline std::vector<pid_t> process_tree(pid_t leader, pid_t guardian) {
  struct Known {
    pid_t parent, group;
    bool lives;
  };
  std::map<pid_t, Known> all;
  for_each_pid([&all](pid_t pid) {
    const auto stat = process_stat(pid);
    all[pid] = {stat.parent, stat.group, stat.lives()};
    return true;
  });
  std::vector<pid_t> tree;
  for (const auto& [pid, member] : all) {
    bool found = pid == leader || member.group == leader;
    auto above = all.find(member.parent);
    for (std::size_t steps = 0; !found && above != all.end() && steps < all.size(); ++steps) {
      found = above->first == leader || above->first == guardian;
      above = all.find(above->second.parent);
    }
    if (found && member.lives && pid != guardian) tree.push_back(pid);
  }
  return tree;
}

/// A descriptor that turns readable when the process ends; none if it is gone, or if the kernel has
/// no `pidfd_open`.
[[nodiscard]] inline UniqueFd open_pidfd(pid_t pid) noexcept {
  return UniqueFd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
}

/// True if the process lives. Rests on /proc/PID/stat; where /proc shows other processes, on
/// `pidfd_open`, else on `kill`, which cannot tell a zombie.
[[nodiscard]] inline bool process_lives(pid_t pid) {
  if (proc_is_own()) return process_stat(pid).lives();
  const auto descriptor = open_pidfd(pid);
  pollfd end{.fd = descriptor.get(), .events = POLLIN, .revents = 0};
  if (descriptor) return ::poll(&end, 1, 0) == 0;
  return ::kill(pid, 0) == 0 || errno == EPERM;
}

/// When the process was made, on the clock of file times. Rests on /proc/PID/stat.
[[nodiscard]] inline std::chrono::nanoseconds started_at(const ProcessStat& stat) {
  const auto now = [](clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
  };
  const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  const std::chrono::milliseconds since_boot{stat.started * 1000 / ticks};
  return now(CLOCK_REALTIME) - now(CLOCK_BOOTTIME) + since_boot;
}

/// The arguments of a process, separated by blanks; its name in brackets if it has no arguments.
[[nodiscard, gnu::cold]] inline std::string command_line(pid_t pid) {
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

/// "pid 42 (nginx -p /tmp)".
[[nodiscard, gnu::cold]] inline std::string describe_process(pid_t pid) {
  return "pid " + std::to_string(pid) + " (" + one_line(command_line(pid)) + ')';
}

}  // namespace mirakuru::detail
