// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <linux/close_range.h>
#include <sched.h>
#include <climits>

#include <mirakuru/os/printable.hpp>
#include <mirakuru/spawn/guarded.hpp>
#include <mirakuru/spawn/guardian/guardian.hpp>

namespace mirakuru::detail {

// Its orders -------------------------------------------------------------------------------------

MIRAKURU_DECL std::size_t Guardian::extra_size(const Task& task) {
  std::size_t size = task.exec.program.size() + task.request.cwd.size() + task.group.path.size() +
                     1100 + task.last_signals.size_bytes();
  for (const auto* list : {&task.request.words, &task.exec.environment})
    for (const auto& text : *list) size += text.size() + 1 + 2 * sizeof(char*);
  return size;
}

MIRAKURU_DECL Guardian::Guardian(const Task& task)
    : channel_{task.channel},
      owner_{task.owner},
      group_{task.group.directory.get()},
      group_kill_{task.group.kill.get()},
      owner_id_{task.owner_id},
      area_{task.area},
      streams_{task.request.in, task.request.out, task.request.err},
      signal_count_{task.last_signals.size()},
      unmap_unused_{task.modules != nullptr},
      tree_{task.mark} {
  if (unmap_unused_) modules_ = *task.modules;
  StringArena arena{reinterpret_cast<char*>(this + 1)};
  signals_ = arena.array<LastSignal>(signal_count_);
  for (std::size_t i = 0; i < signal_count_; ++i)
    signals_[i] = {std::chrono::nanoseconds{task.last_signals[i].at.time_since_epoch()}.count(),
                   task.last_signals[i].signal};
  argv_ = arena.strings(task.request.words);
  environment_ = arena.strings(task.exec.environment);
  program_ = arena.string(task.exec.program);
  cwd_ = arena.string(task.request.cwd);
  std::string title = "mirakuru: guards";
  for (const auto& word : task.request.words) (title += ' ') += word;
  title_ = arena.string(one_line(title).substr(0, 1000));
  group_path_ = arena.string(task.group.path);
  group_name_ = group_path_ + (task.group.path.rfind('/') + 1);  // npos + 1 is 0

  // The object, and the thread's own data with `errno`; each with the largest possible page around.
  constexpr std::uintptr_t largest = 64 * 1024;
  const auto around = [](const void* begin, std::size_t size) {
    const auto at = reinterpret_cast<std::uintptr_t>(begin);
    return Range{(at - largest) & -largest, (at + size + 2 * largest) & -largest};
  };
  needed_[0] = around(this, sizeof *this + extra_size(task));
  needed_[1] = around(&errno, 0);
  needed_[2] = around(__builtin_thread_pointer(), 0);
  needed_[3] =
      around(reinterpret_cast<void*>(area_.arguments.begin), area_.end - area_.arguments.begin);
}

// Its life ---------------------------------------------------------------------------------------

/// All that can fail comes before the command. False if something has, and the owner knows.
MIRAKURU_DECL bool Guardian::set_up() {
  self_ = static_cast<pid_t>(syscalls::call(SYS_getpid));
  if (syscalls::call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
    return report(Report::failed, 0, errno, "prctl(PR_SET_CHILD_SUBREAPER)") && false;
  syscalls::call(SYS_prctl, PR_SET_PDEATHSIG, SIGCONT, 0, 0, 0);
  if (owner_is_gone()) return false;
  syscalls::call(SYS_setsid);  // early: it may yield the processor, and nobody else waits yet
  reset_signals();
  // A program that the host still writes to cannot be executed: hold no copy of its descriptor.
  close_others(false);
  // SIGCONT: it also wakes a guardian that is stopped.
  const std::uint64_t news = std::uint64_t{1} << (SIGCHLD - 1) | std::uint64_t{1} << (SIGCONT - 1);
  signals_in_ =
      static_cast<int>(syscalls::call(SYS_signalfd4, -1, &news, sizeof news, SFD_CLOEXEC));
  if (signals_in_ < 0) return report(Report::failed, 0, errno, "signalfd") && false;
  return true;
}

MIRAKURU_DECL void Guardian::run() {
  // The owner waits until the command runs, so only the necessary comes before. All signals are
  // blocked.
  if (!set_up()) return;
  leader_ = spawn();
  if (leader_ < 0) {
    report(Report::failed, 0, errno, "clone");
    return;
  }
  close_others(true);
  syscalls::call(SYS_chdir, "/");
  area_.put(title_);
  // An owner that cannot hear of the command has no use for it. The command may have children
  // already, so the guardian stays.
  if (!report(Report::spawned, leader_, self_)) on_owner_exit();

  while (reap()) {
    keep_to_schedule();
    if (signal_ != 0 && now() >= look_at_) signal_rest();
    // Most commands end in less time than it takes to sleep and wake up.
    if (leader_ended_ || now() >= spin_until_) wait();
  }
  if (group_ >= 0) syscalls::remove_directories(AT_FDCWD, group_path_);
}

// The command ------------------------------------------------------------------------------------

/// Returns when the command has been executed.
MIRAKURU_DECL pid_t Guardian::spawn() {
#if !defined(MIRAKURU_SANITIZED)  // ThreadSanitizer takes every clone for a fork
  // No fork, which would copy the owner's pages once more.
  alignas(std::max_align_t) char stack[stack_size / 4];
  if (group_ < 0)
    return ::clone(
        [](void* guardian) {
          static_cast<Guardian*>(guardian)->become_command();
          return 127;
        },
        stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, this);
#endif
  struct {  // linux/sched.h has it as clone_args
    std::uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
        set_tid_size, cgroup;
  } how = {};
  how.flags = CLONE_VFORK | (group_ < 0 ? 0 : 0x200000000);  // CLONE_INTO_CGROUP
  how.exit_signal = SIGCHLD;
  how.cgroup = group_ < 0 ? 0 : static_cast<std::uint64_t>(group_);
  const auto pid = static_cast<pid_t>(syscalls::call(SYS_clone3, &how, sizeof how));
  if (pid == 0) become_command();
  return pid;
}

/// The child shares the guardian's memory until it executes the command. It calls no library
/// function either: the first call of each costs a look-up by the dynamic linker. Never returns.
MIRAKURU_DECL void Guardian::become_command() {
  if (group_ >= 0 && !in_cgroup()) {
    errno = ESRCH;
    fail("the command is not in its cgroup");
  }
  const RlimitTag* const mark = &tree_.mark();
  if (mark->soft != 0) syscalls::call(SYS_prlimit64, 0, RLIMIT_LOCKS, mark, nullptr);
  // The leader dies with the guardian, which may be dead already.
  syscalls::call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (syscalls::call(SYS_getppid) != self_) syscalls::call(SYS_exit_group, 127);
  syscalls::call(SYS_setsid);

  const std::uint64_t none = 0;
  syscalls::call(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);

  if (*cwd_ != '\0' && syscalls::call(SYS_chdir, cwd_) != 0) fail("chdir");
  for (int stream = 0; stream < 3; ++stream)
    if (streams_[stream] < 0 || streams_[stream] == stream)
      syscalls::call(SYS_fcntl, stream, F_SETFD, 0);  // the host's own may be close-on-exec
    else if (syscalls::call(SYS_dup3, streams_[stream], stream, 0) < 0)
      fail("dup3");
  close_range(3, ~0U, true);
  // Another thread of the host may have forked while it wrote the program: that copy of its
  // descriptor is gone in a moment.
  for (int tries = 0; tries < 2000; ++tries) {
    syscalls::call(SYS_execve, program_, argv_, environment_);
    if (errno != ETXTBSY) break;
    syscalls::nap(1'000'000);
    errno = ETXTBSY;
  }
  fail(exec_call);
}

/// The command needs its streams, and the host's own where it has none.
MIRAKURU_DECL void Guardian::close_others(bool streams_too) {
  const int own[] = {channel_,    owner_,      signals_in_, group_kill_, group_, streams_[0],
                     streams_[1], streams_[2], 0,           1,           2};
  const std::size_t kept = streams_too ? 4 : std::size(own);
  for (unsigned from = 0; from <= INT_MAX;) {
    unsigned next = ~0U;  // the guardian's first descriptor from there on
    for (std::size_t i = 0; i < kept; ++i)
      if (own[i] >= 0 && static_cast<unsigned>(own[i]) >= from &&
          static_cast<unsigned>(own[i]) < next)
        next = static_cast<unsigned>(own[i]);
    if (next > from) close_range(from, next == ~0U ? next : next - 1);
    from = next == ~0U ? next : next + 1;
  }
}

/// Closes these descriptors, now or at `execve`.
MIRAKURU_DECL void Guardian::close_range(unsigned first, unsigned last, bool at_exec) {
#if defined(SYS_close_range)
  if (syscalls::call(SYS_close_range, first, last, at_exec ? CLOSE_RANGE_CLOEXEC : 0U) == 0) return;
#endif
  syscalls::each_number("/proc/self/fd", [=](int number) {
    const auto fd = static_cast<unsigned>(number);
    if (fd < first || fd > last) return;
    at_exec ? syscalls::call(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC) : syscalls::call(SYS_close, fd);
  });
}

}  // namespace mirakuru::detail
