// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <new>
#include <string_view>
#include <utility>

#include <mirakuru/os/proc.hpp>
#include <mirakuru/os/signals_blocked.hpp>
#include <mirakuru/os/syscalls.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/spawn/child.hpp>
#include <mirakuru/spawn/direct.hpp>
#include <mirakuru/spawn/own_pages.hpp>

namespace mirakuru {

namespace detail {

MIRAKURU_DECL int decode_exit(int code, int status) noexcept {
  return code == CLD_EXITED ? status : -status;
}

/// True while this process group has a member that is no zombie. Rests on /proc. Without one of its
/// own it cannot tell a zombie, so `killed` decides: after SIGKILL nothing lives long.
inline bool group_lives(pid_t group, bool killed) {
  if (!proc_is_own()) return !killed;
  bool found = false;
  const bool can_tell = for_each_pid([&](pid_t pid) {
    const auto stat = process_stat(pid);
    found = stat.state == '?' || (stat.group == group && stat.lives());
    return !found;
  });
  return found || !can_tell;
}

/// True while this process group has a member that is neither stopped nor a zombie. One that waits
/// in the kernel stops before it goes on. False without a /proc of its own, which cannot tell.
inline bool group_runs(pid_t group) {
  bool found = false;
  if (proc_is_own())
    for_each_pid([&](pid_t pid) {
      const auto stat = process_stat(pid);
      found = stat.group == group && stat.lives() &&
              std::string_view{"TtD"}.find(stat.state) == std::string_view::npos;
      return !found;
    });
  return found;
}

/// The exit code of a process that the host has reaped; 0 where the kernel does not tell it a
/// second time. Rests on `PIDFD_GET_INFO`: Linux 6.15.
inline int reaped_exit_code(int pidfd) {
  struct {  // linux/pidfd.h has it since 6.15
    std::uint64_t mask = 1 << 3, cgroup_id = 0;
    std::uint32_t ids[11] = {};
    std::int32_t exit_status = 0;
  } info;
  if (::ioctl(pidfd, _IOWR(0xff, 11, info), &info) != 0 || (info.mask & (1 << 3)) == 0) return 0;
  return WIFSIGNALED(info.exit_status) ? -WTERMSIG(info.exit_status)
                                       : WEXITSTATUS(info.exit_status);
}

/// A child of the test, and the reason for its failure. Both are in memory that the child shares.
struct [[gnu::visibility("hidden")]] DirectChild {
  DirectChild(const LaunchRequest& request, const LocalExec& exec, StringArena arena)
      : child{request, exec, arena} {}

  static int main(void* argument) {
    auto& self = *static_cast<DirectChild*>(argument);
    const unsigned long defaults[4] = {};  // the kernel's struct sigaction in its largest form
    for (int signal = 1; signal <= 64; ++signal)
      if (signal != SIGKILL && signal != SIGSTOP)
        syscalls::call(SYS_rt_sigaction, signal, defaults, nullptr, sizeof(std::uint64_t));
    self.failed_call = self.child.execute(0);
    self.error = errno;
    syscalls::call(SYS_exit_group, 127);
    return 0;
  }

  Child child;
  const char* failed_call = nullptr;
  int error = 0;
};

}  // namespace detail

MIRAKURU_DECL DirectProcess::DirectProcess(pid_t pid)
    : pid_{pid}, owner_{::getpid()}, pidfd_{detail::open_pidfd(pid)} {}

MIRAKURU_DECL bool DirectProcess::alive() {
  if (::getpid() != owner_) return false;
  if (!exit_code_) {
    siginfo_t info{};
    const int error = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG);
    // ECHILD: the host ignores SIGCHLD or reaps every child, and has got the status.
    if (error != 0 ? errno != ECHILD : info.si_pid == 0) return true;
    exit_code_ = error == 0 ? detail::decode_exit(info.si_code, info.si_status)
                            : detail::reaped_exit_code(pidfd_.get());
  }
  // No other process gets the group's number while a member lives. Once empty, the group is never
  // looked at again.
  if (!group_gone_)
    group_gone_ = (::kill(-pid_, 0) != 0 && errno == ESRCH) || !detail::group_lives(pid_, killed_);
  return !group_gone_;
}

MIRAKURU_DECL void DirectProcess::signal(int signal) noexcept {
  if (group_gone_ || ::getpid() != owner_) return;
  const int result = ::kill(-pid_, signal);
  resume();
  if (signal != SIGKILL) return;
  killed_ |= result == 0;
  refused_ |= result != 0 && errno == EPERM;
}

MIRAKURU_DECL std::string DirectProcess::trouble() const {
  return refused_ ? "pid " + std::to_string(pid_) +
                        " and its group belong to another user, and may not be signalled"
                  : "";
}

MIRAKURU_DECL void DirectProcess::signal_leader(int signal) noexcept {
  if (!exit_code_ && ::getpid() == owner_) ::kill(pid_, signal);
}

MIRAKURU_DECL bool DirectProcess::pause() noexcept {
  if (group_gone_ || ::getpid() != owner_) return false;
  // Processes may be born meanwhile, and one in a system call stops after it.
  for (int tries = 0; tries < 5000; ++tries) {
    paused_ = ::kill(-pid_, SIGSTOP) == 0;
    if (!paused_ || !detail::group_runs(pid_)) return paused_;
    detail::syscalls::nap(1'000'000);
  }
  return false;
}

MIRAKURU_DECL void DirectProcess::resume() noexcept {
  if (!std::exchange(paused_, false) || group_gone_ || ::getpid() != owner_) return;
  ::kill(-pid_, SIGCONT);
}

MIRAKURU_DECL DirectProcess DirectSpawner::spawn(const LaunchRequest& request) const {
  if (!request.scratch.empty())
    throw SpawnFailure{"cannot keep the directory " + request.scratch,
                       std::make_error_code(std::errc::not_supported),
                       "DirectSpawner has no guardian that removes it; take GuardedSpawner"};
  const auto exec = local_exec(request);
  const detail::OwnPages pages{
      sizeof(detail::DirectChild) + detail::Child::extra_size(request, exec), MAP_SHARED};
  auto* const place = static_cast<char*>(pages.begin());
  auto* const child = new (place)
      detail::DirectChild{request, exec, detail::StringArena{place + sizeof(detail::DirectChild)}};
  pid_t pid = -1;
  {
    const detail::SignalsBlocked blocked;
    pid = detail::clone_child(detail::DirectChild::main, child, -1);
    if (pid < 0) detail::throw_errno("clone");
  }
  if (child->failed_call == nullptr) return DirectProcess{pid};
  ::waitid(P_PID, static_cast<id_t>(pid), nullptr, WEXITED | __WALL);
  if (child->failed_call == detail::exec_call)
    throw detail::exec_failure(exec.program, child->error);
  if (std::string_view{child->failed_call} == "chdir")
    throw SpawnFailure{detail::place_step(request), {child->error, std::generic_category()}};
  detail::throw_error(child->error, child->failed_call);
}

}  // namespace mirakuru
