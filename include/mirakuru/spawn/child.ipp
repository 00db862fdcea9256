// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <algorithm>
#include <cerrno>
#include <csignal>

#include <mirakuru/os/syscalls.hpp>
#include <mirakuru/spawn/child.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL std::size_t Child::extra_size(const LaunchRequest& request, const LocalExec& exec) {
  std::size_t size = exec.program.size() + request.cwd.size() + 64;
  for (const auto* list : {&request.words, &exec.environment})
    for (const auto& text : *list) size += text.size() + 1 + 2 * sizeof(char*);
  size += (request.limits.size() + 1) * sizeof(ResourceLimit);
  size += (request.descriptors.size() + 1) * sizeof(Given);
  if (exec.identity) size += (exec.identity->groups.size() + 1) * sizeof(Identity::Number);
  return size;
}

MIRAKURU_DECL Child::Child(const LaunchRequest& request, const LocalExec& exec, StringArena& arena)
    : program_{arena.string(exec.program)},
      argv_{arena.strings(request.words)},
      environment_{arena.strings(exec.environment)},
      cwd_{arena.string(request.cwd)},
      streams_{request.in, request.out, request.err},
      given_{arena.array<Given>(request.descriptors.size())},
      given_count_{request.descriptors.size()},
      // Less than a guardian has, so that it can tell the reason.
      patience_{
          std::min<std::chrono::nanoseconds>(
              std::chrono::seconds{2}, time_to_execute(request) - std::chrono::milliseconds{200})
              .count()},
      terminal_{request.terminal},
      changes_user_{exec.identity.has_value()},
      limits_{arena.array<ResourceLimit>(request.limits.size())},
      limit_count_{request.limits.size()} {
  std::copy(request.limits.begin(), request.limits.end(), limits_);
  std::transform(request.descriptors.begin(), request.descriptors.end(), given_,
                 [](const auto& entry) { return Given{entry.first, entry.second->get()}; });
  if (!changes_user_) return;
  user_ = exec.identity->user;
  group_ = exec.identity->group;
  group_count_ = exec.identity->groups.size();
  groups_ = arena.array<Identity::Number>(group_count_);
  std::copy(exec.identity->groups.begin(), exec.identity->groups.end(), groups_);
}

/// Gives the command its descriptors, and no other beyond the standard streams.
MIRAKURU_DECL bool Child::place_descriptors(bool close_on_exec) {
  using syscalls::call;
  unsigned from = 3;
  for (std::size_t i = 0; i < given_count_; ++i) {
    const auto number = static_cast<unsigned>(given_[i].number);
    if (call(SYS_dup3, given_[i].from, given_[i].number, 0) < 0) return false;
    if (number > from) syscalls::close_range(from, number - 1, close_on_exec);
    from = number + 1;
  }
  syscalls::close_range(from, ~0U, close_on_exec);
  return true;
}

/// It calls no library function: the first call of each costs a look-up by the dynamic linker.
MIRAKURU_DECL const char* Child::execute(pid_t parent) {
  using syscalls::call;
  call(SYS_setsid);
  // Out of the way of their numbers, before a limit forbids it.
  for (std::size_t i = 0; i < given_count_; ++i) {
    given_[i].from =
        static_cast<int>(call(SYS_fcntl, given_[i].from, F_DUPFD_CLOEXEC, first_free()));
    if (given_[i].from < 0) return "fcntl(F_DUPFD_CLOEXEC)";
  }
  if (terminal_ && call(SYS_ioctl, streams_[1], TIOCSCTTY, 0) != 0) return "ioctl(TIOCSCTTY)";
  for (std::size_t i = 0; i < limit_count_; ++i) {
    const std::uint64_t both[2] = {limits_[i].soft, limits_[i].hard};
    if (call(SYS_prlimit64, 0, limits_[i].resource, both, nullptr) != 0) return "prlimit";
  }
  if (changes_user_) {
    if (call(SYS_setgroups, group_count_, groups_) != 0) return "setgroups";
    if (call(SYS_setresgid, group_, group_, group_) != 0) return "setresgid";
    if (call(SYS_setresuid, user_, user_, user_) != 0) return "setresuid";
  }
  if (parent != 0) {  // after the change of the user, which clears it; it may be dead already
    call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (call(SYS_getppid) != parent) call(SYS_exit_group, 127);
  }
  const std::uint64_t none = 0;
  call(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);

  if (*cwd_ != '\0' && call(SYS_chdir, cwd_) != 0) return "chdir";
  for (int stream = 0; stream < 3; ++stream)
    if (streams_[stream] < 0 || streams_[stream] == stream)
      call(SYS_fcntl, stream, F_SETFD, 0);  // the host's own may be close-on-exec
    else if (call(SYS_dup3, streams_[stream], stream, 0) < 0)
      return "dup3";
  // The guardian needs its channel until then. Without one no copy may keep the program busy.
  if (!place_descriptors(parent != 0)) return "dup3";
  // Another thread of the host may have forked while it wrote the program: that copy of its
  // descriptor is gone in a moment.
  std::int64_t begin = 0;
  while (call(SYS_execve, program_, argv_, environment_), errno == ETXTBSY) {
    const auto now = syscalls::now();
    if (begin == 0) begin = now;
    if (now - begin >= patience_) break;
    syscalls::nap(1'000'000);
  }
  return exec_call;
}

MIRAKURU_DECL pid_t clone_child(int (*main)(void*), void* argument, int cgroup) {
#if !defined(MIRAKURU_SANITIZED)  // ThreadSanitizer takes every clone for a fork
  // No fork, which would copy the caller's pages.
  alignas(std::max_align_t) char stack[15 * 1024];
  if (cgroup < 0)
    return ::clone(main, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, argument);
#endif
  struct {  // linux/sched.h has it as clone_args
    std::uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
        set_tid_size, cgroup;
  } how = {};
  how.flags = CLONE_VFORK | (cgroup < 0 ? 0 : 0x200000000);  // CLONE_INTO_CGROUP
  how.exit_signal = SIGCHLD;
  how.cgroup = cgroup < 0 ? 0 : static_cast<std::uint64_t>(cgroup);
  const auto pid = static_cast<pid_t>(syscalls::call(SYS_clone3, &how, sizeof how));
  if (pid == 0) syscalls::call(SYS_exit_group, main(argument));
  return pid;
}

}  // namespace mirakuru::detail
