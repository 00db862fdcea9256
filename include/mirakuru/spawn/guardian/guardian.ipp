// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/file.h>
#include <climits>

#include <mirakuru/os/printable.hpp>
#include <mirakuru/os/remove_contents.hpp>
#include <mirakuru/spawn/guardian/guardian.hpp>

namespace mirakuru::detail {

// Its orders -------------------------------------------------------------------------------------

MIRAKURU_DECL std::size_t Guardian::extra_size(const Task& task) {
  return Child::extra_size(task.request, task.exec) + Relays::extra_size(task.request.relays) +
         Leases::extra_size(task.request.leases) + Link::extra_size(task.request.far) +
         CleanUp::extra_size(task.clean_up) + ControlGroup::extra_size(task.group) +
         task.request.scratch.size() + task.scratch.lock_path.size() + 1200 +
         task.last_signals.size() * sizeof(LastSignal);
}

MIRAKURU_DECL Guardian::Guardian(const Task& task, StringArena arena)
    : channel_{task.channel, stragglers_},
      owner_{task.owner},
      scratch_{task.scratch.directory.get()},
      scratch_lock_{task.scratch.lock.get()},
      owner_id_{task.owner_id},
      signals_to_reset_{task.signals_to_reset},
      area_{task.area},
      child_{task.request, task.exec, arena},
      relays_{task.request.relays, arena},
      leases_{task.request.leases, arena},
      link_{task.request.far, task.link, arena},
      clean_up_{task.clean_up, arena},
      group_{task.group, arena},
      signal_count_{task.last_signals.size()},
      unmap_unused_{task.modules != nullptr},
      tree_{task.mark} {
  if (unmap_unused_) modules_ = *task.modules;
  signals_ = arena.array<LastSignal>(signal_count_);
  for (std::size_t i = 0; i < signal_count_; ++i)
    signals_[i] = {std::chrono::nanoseconds{task.last_signals[i].at.time_since_epoch()}.count(),
                   task.last_signals[i].signal, task.last_signals[i].scope};
  scratch_path_ = arena.string(task.request.scratch);
  lock_path_ = arena.string(task.scratch.lock_path);
  std::string title = "mirakuru: guards";
  for (const auto& word : task.request.words) (title += ' ') += word;
  title_ = arena.string(one_line(title).substr(0, 1000));

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
    return channel_.report(Report::failed, 0, errno, "prctl(PR_SET_CHILD_SUBREAPER)") && false;
  syscalls::call(SYS_prctl, PR_SET_PDEATHSIG, SIGCONT, 0, 0, 0);
  if (owner_is_gone()) return false;
  syscalls::call(SYS_setsid);  // early: it may yield the processor, and nobody else waits yet
  reset_signals();
  // The child reports by it, and may have another descriptor at its number.
  if (const int free = child_.first_free(); free > 3 && !channel_.move_above(free))
    return channel_.report(Report::failed, 0, errno, "fcntl(F_DUPFD_CLOEXEC)") && false;
  // A program that the host still writes to cannot be executed: hold no copy of its descriptor.
  close_others(false);
  // SIGCONT: it also wakes a guardian that is stopped.
  const std::uint64_t news = std::uint64_t{1} << (SIGCHLD - 1) | std::uint64_t{1} << (SIGCONT - 1);
  signals_in_ =
      static_cast<int>(syscalls::call(SYS_signalfd4, -1, &news, sizeof news, SFD_CLOEXEC));
  if (signals_in_ < 0) return channel_.report(Report::failed, 0, errno, "signalfd") && false;
  relays_.begin();
  if (!leases_.begin()) return channel_.report(Report::failed, 0, errno, "epoll_create1") && false;
  return true;
}

MIRAKURU_DECL void Guardian::run() {
  // The owner waits until the command runs, so only the necessary comes before. All signals are
  // blocked.
  if (!set_up()) return;
  const auto become_command = [](void* guardian) {
    static_cast<Guardian*>(guardian)->become_command();
    return 127;
  };
  leader_ = clone_child(become_command, this, group_.directory());
  if (leader_ < 0) {
    channel_.report(Report::failed, 0, errno, "clone");
    return;
  }
  leases_.spawned(leader_, self_, tree_.mark().soft);
  close_others(true);
  syscalls::call(SYS_chdir, "/");
  area_.put(title_);
  // An owner that cannot hear of the command has no use for it. The command may have children
  // already, so the guardian stays.
  if (!channel_.report(Report::spawned, leader_, self_)) on_owner_exit();

  while (reap()) {
    if (leases_.shared()) look_at_leases();
    // A client that is killed leaves its container behind.
    if (end_reported_ && exit_code_ < 0 && !clean_up_.empty() && !link_.exists())
      clean_up_before_kill();
    keep_to_schedule();
    if (signal_ != 0 && syscalls::now() >= look_at_) signal_rest();
    wait();
  }
  leases_.end();
  group_.remove();
  if (scratch_ >= 0 && owner_left_) remove_scratch();
}

/// The owner cannot do it any more. Another guardian with a lock still needs the directory. One
/// that is kept since has lost its lock file.
MIRAKURU_DECL void Guardian::remove_scratch() {
  // An owner that is about to die has closed the channel, and perhaps not yet its lock.
  for (int tries = 0; syscalls::call(SYS_flock, scratch_lock_, LOCK_EX | LOCK_NB) != 0; ++tries) {
    if (tries == 100) return;
    syscalls::nap(10'000'000);
  }
  const bool has_lock_file = *lock_path_ != '\0';
  if (has_lock_file && syscalls::call(SYS_faccessat, AT_FDCWD, lock_path_, F_OK) != 0) return;
  syscalls::remove_contents(scratch_);
  syscalls::call(SYS_unlinkat, AT_FDCWD, scratch_path_, AT_REMOVEDIR);
  if (has_lock_file) syscalls::call(SYS_unlinkat, AT_FDCWD, lock_path_, 0);
}

// The command ------------------------------------------------------------------------------------

/// Runs in the child. Never returns.
MIRAKURU_DECL void Guardian::become_command() {
  if (group_.exists() && !group_.holds_caller()) {
    errno = ESRCH;
    fail("the command is not in its cgroup");
  }
  const RlimitTag* const mark = &tree_.mark();
  if (mark->soft != 0) syscalls::call(SYS_prlimit64, 0, RLIMIT_LOCKS, mark, nullptr);
  fail(child_.execute(self_));
}

/// The command needs its streams, and the host's own where it has none.
MIRAKURU_DECL void Guardian::close_others(bool streams_too) {
  int kept[28 + Leases::descriptors + LaunchRequest::most_descriptors];
  std::size_t count = 0;
  const auto keep = [&](int fd) { kept[count++] = fd; };
  for (const int fd : {channel_.fd(), owner_, signals_in_, scratch_, scratch_lock_}) keep(fd);
  group_.each_descriptor(keep);
  relays_.each_descriptor(keep);
  leases_.each_descriptor(keep);
  link_.each_descriptor(keep);
  if (!streams_too) {
    child_.each_descriptor(keep);
    for (const int fd : {0, 1, 2}) keep(fd);
  }
  for (unsigned from = 0; from <= INT_MAX;) {
    unsigned next = ~0U;  // the guardian's first descriptor from there on
    for (std::size_t i = 0; i < count; ++i)
      if (kept[i] >= 0 && static_cast<unsigned>(kept[i]) >= from &&
          static_cast<unsigned>(kept[i]) < next)
        next = static_cast<unsigned>(kept[i]);
    if (next > from) syscalls::close_range(from, next == ~0U ? next : next - 1);
    from = next == ~0U ? next : next + 1;
  }
}

}  // namespace mirakuru::detail
