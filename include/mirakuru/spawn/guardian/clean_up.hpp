// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>

#include <mirakuru/os/syscalls.hpp>
#include <mirakuru/spawn/child.hpp>
#include <mirakuru/spawn/launch.hpp>

namespace mirakuru::detail {

/// The commands that a guardian runs at the end, such as one that removes a container. Calls no
/// library.
class [[gnu::visibility("hidden")]] CleanUp {
 public:
  struct Task {
    LaunchRequest request;
    LocalExec exec;
  };

  [[nodiscard]] static std::size_t extra_size(std::span<const Task> tasks) {
    std::size_t size = tasks.empty() ? 0 : alignof(Child);
    for (const auto& task : tasks)
      size += sizeof(Child) + Child::extra_size(task.request, task.exec);
    return size;
  }
  CleanUp(std::span<const Task> tasks, StringArena& arena)
      : commands_{arena.array<Child>(tasks.size())}, count_{tasks.size()} {
    for (std::size_t i = 0; i < count_; ++i)
      new (&commands_[i]) Child{tasks[i].request, tasks[i].exec, arena};
  }

  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  /// Runs each command, and kills one that takes too long. Then none runs again. The caller has no
  /// standard streams.
  void run() {
    if (count_ == 0) return;
    // They have /dev/null at the numbers of the standard streams, which the guardian has closed.
    long null = 0;
    while (null >= 0 && null < 3) null = syscalls::call(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR);
    if (null > 2) syscalls::call(SYS_close, null);
    const auto become = [](void* child) {
      (void)static_cast<Child*>(child)->execute(0);
      return 127;
    };
    bool hangs = false;
    for (std::size_t i = 0; i < count_; ++i) {
      const pid_t pid = clone_child(become, &commands_[i], -1);
      if (pid < 0) continue;
      siginfo_t info{};
      for (const auto begin = syscalls::now(); info.si_pid == 0;) {
        if (syscalls::call(SYS_waitid, P_PID, pid, &info, WEXITED | WNOHANG, nullptr) != 0) break;
        if (info.si_pid != 0) break;
        if (syscalls::now() - begin > most_time) {
          syscalls::call(SYS_kill, -pid, SIGKILL);
          hangs = true;
        }
        syscalls::nap(1'000'000);
      }
    }
    if (hangs) count_ = 0;
    for (int fd = 0; fd < 3; ++fd) syscalls::call(SYS_close, fd);
  }

 private:
  static constexpr std::int64_t most_time = 8'000'000'000;  // the owner waits for 10 s

  Child* commands_;
  std::size_t count_;
};

}  // namespace mirakuru::detail
