// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>

#include <mirakuru/spawn/guarded.hpp>
#include <mirakuru/spawn/guardian/guardian.hpp>

namespace mirakuru::detail {

// Its orders -------------------------------------------------------------------------------------

inline std::string guardian_title(const LaunchRequest& request) {
  std::string title = "mirakuru: guards";
  for (const auto& word : request.words) (title += ' ') += word;
  title.resize(std::min<std::size_t>(title.size(), 1000));
  return title;
}

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
  title_ = arena.string(guardian_title(task.request));
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

MIRAKURU_DECL int Guardian::main(void* guardian) {
  static_cast<Guardian*>(guardian)->run();
  syscalls::call(SYS_exit_group, 0);
  return 0;
}

MIRAKURU_DECL void Guardian::run() {
  // The owner waits until the command runs, so only the necessary comes before. All signals are
  // blocked.
  self_ = static_cast<pid_t>(syscalls::call(SYS_getpid));
  syscalls::call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  syscalls::call(SYS_prctl, PR_SET_PDEATHSIG, SIGCONT, 0, 0, 0);  // wakes it if it is stopped
  syscalls::call(SYS_setsid);  // early: it may yield the processor, and nobody else waits yet
  reset_signals();
  leader_ = spawn();
  if (leader_ < 0) return report(Report::failed, 0, errno, "clone");

  close_others();
  const std::uint64_t child_ended = std::uint64_t{1} << (SIGCHLD - 1);
  children_ = static_cast<int>(
      syscalls::call(SYS_signalfd4, -1, &child_ended, sizeof child_ended, SFD_CLOEXEC));
  // The leader then dies with the guardian.
  if (children_ < 0) return report(Report::failed, 0, errno, "signalfd");
  syscalls::call(SYS_chdir, "/");
  area_.put(title_);
  report(Report::spawned, leader_, self_);

  while (reap()) {
    keep_to_schedule();
    if (signal_ != 0 && now() >= look_at_) signal_rest();
    // Most commands end in less time than it takes to sleep and wake up.
    if (leader_ended_ || now() >= spin_until_) wait();
  }
  if (group_ >= 0) syscalls::remove_directories(AT_FDCWD, group_path_);
}

/// Resets all handlers, as `execve` keeps ignored signals. An ignored SIGCHLD would also take the
/// exit status of children away.
MIRAKURU_DECL void Guardian::reset_signals() {
  const unsigned long defaults[4] = {};  // the kernel's struct sigaction in its largest form
  for (int signal = 1; signal <= 64; ++signal)
    if (signal != SIGKILL && signal != SIGSTOP)
      syscalls::call(SYS_rt_sigaction, signal, defaults, nullptr, sizeof(std::uint64_t));
}

MIRAKURU_DECL void Guardian::report(Report::Kind kind, pid_t pid, int value, const char* text,
                                    bool last) {
  report_.kind = kind;
  report_.pid = pid;
  report_.value = value;
  report_.last = last;
  std::size_t size = 0;
  if (text != nullptr)
    for (; text[size] != '\0' && size + 1 < sizeof report_.text; ++size)
      report_.text[size] = text[size];
  report_.text[size] = '\0';
  syscalls::call(SYS_sendto, channel_, &report_, sizeof report_, MSG_NOSIGNAL | MSG_DONTWAIT,
                 nullptr, 0);
}

// The command ------------------------------------------------------------------------------------

/// Returns when the command has been executed.
MIRAKURU_DECL pid_t Guardian::spawn() {
#if !defined(MIRAKURU_SANITIZED)  // ThreadSanitizer takes every clone for a fork
  // No fork, which would copy the owner's pages once more.
  alignas(std::max_align_t) char stack[stack_size / 4];
  if (group_ < 0)
    return ::clone(run_command, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, this);
#endif
  struct {  // linux/sched.h has it as clone_args
    std::uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
        set_tid_size, cgroup;
  } how = {};
  how.flags = CLONE_VFORK | (group_ < 0 ? 0 : 0x200000000);  // CLONE_INTO_CGROUP
  how.exit_signal = SIGCHLD;
  how.cgroup = group_ < 0 ? 0 : static_cast<std::uint64_t>(group_);
  const auto pid = static_cast<pid_t>(syscalls::call(SYS_clone3, &how, sizeof how));
  if (pid == 0) syscalls::call(SYS_exit_group, run_command(this));
  return pid;
}

/// A system may accept the group of the clone and ignore it.
MIRAKURU_DECL bool Guardian::in_cgroup() const {
  syscalls::File groups{"/proc/self/cgroup"};
  std::size_t same = 0;
  for (char c; (c = groups.get()) != '\0' && group_name_[same] != '\0';)
    same = c == group_name_[same] ? same + 1 : c == group_name_[0] ? 1 : 0;
  return group_name_[same] == '\0';
}

MIRAKURU_DECL int Guardian::run_command(void* guardian) {
  static_cast<Guardian*>(guardian)->become_command();
  return 127;
}

MIRAKURU_DECL void Guardian::fail(const char* call) {
  report(Report::failed, 0, errno, call);
  syscalls::call(SYS_exit_group, 127);
}

/// The child shares the guardian's memory until it executes the command. It calls no library
/// function either: the first call of each costs a look-up by the dynamic linker.
MIRAKURU_DECL void Guardian::become_command() {
  if (group_ >= 0 && !in_cgroup()) {
    errno = ESRCH;
    fail("the command is not in its cgroup");
  }
  const std::uint64_t mark[2] = {tree_.mark().soft, tree_.mark().hard};
  if (mark[0] != 0) syscalls::call(SYS_prlimit64, 0, RLIMIT_LOCKS, mark, nullptr);
  // The leader dies with the guardian, which may be dead already.
  syscalls::call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (syscalls::call(SYS_getppid) != self_) syscalls::call(SYS_exit_group, 127);
  syscalls::call(SYS_setsid);

  const std::uint64_t none = 0;
  syscalls::call(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);

  if (*cwd_ != '\0' && syscalls::call(SYS_chdir, cwd_) != 0) fail("chdir");
  for (int stream = 0; stream < 3; ++stream)
    if (streams_[stream] == stream)
      syscalls::call(SYS_fcntl, stream, F_SETFD, 0);
    else if (streams_[stream] >= 0 && syscalls::call(SYS_dup3, streams_[stream], stream, 0) < 0)
      fail("dup3");
  close_range(3, ~0U, true);
  syscalls::call(SYS_execve, program_, argv_, environment_);
  fail(exec_call);
}

// Settling down ----------------------------------------------------------------------------------

MIRAKURU_DECL void Guardian::close_others() {
  const int own[] = {channel_, owner_, children_, group_kill_};
  for (unsigned from = 0; from <= INT_MAX;) {
    unsigned next = ~0U;  // the guardian's first descriptor from there on
    for (const int fd : own)
      if (fd >= 0 && static_cast<unsigned>(fd) >= from && static_cast<unsigned>(fd) < next)
        next = static_cast<unsigned>(fd);
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

/// Runs when there is nothing else to do. The owner waits for the guardian's exit, which is faster
/// with less memory.
MIRAKURU_DECL void Guardian::unmap_unused() {
  if (unmap_unused_) modules_.unmap_others(needed_);
  unmap_unused_ = false;
}

// Guarding ---------------------------------------------------------------------------------------

/// Reaps all that has ended. False when nothing is below the guardian any more.
MIRAKURU_DECL bool Guardian::reap() {
  for (;;) {
    info_.si_pid = 0;
    const bool empty =
        syscalls::call(SYS_waitid, P_ALL, 0, &info_, WEXITED | WNOHANG | __WALL, nullptr) != 0;
    if (empty || info_.si_pid == 0) {
      report_end(empty);
      return !empty;
    }
    if (info_.si_pid == leader_) {
      leader_ended_ = true;
      exit_code_ = info_.si_code == CLD_EXITED ? info_.si_status : -info_.si_status;
    }
    if (leader_ended_) look_at_ = 0;
  }
}

/// One message for the end of the leader and of its tree: with two, the owner could see a lone
/// process end and its tree live.
MIRAKURU_DECL void Guardian::report_end(bool last) {
  if (leader_ended_ && !end_reported_) {
    end_reported_ = true;
    report(Report::ended, leader_, exit_code_, nullptr, last);
  } else if (last) {
    report(Report::empty, 0, 0, nullptr, last);
  }
}

/// Not `clock_gettime`: a test may replace that function.
MIRAKURU_DECL std::int64_t Guardian::now() {
  timespec time{};
  syscalls::call(SYS_clock_gettime, CLOCK_MONOTONIC, &time);
  return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
}

/// Waits for a child's end, a message from the owner, the owner's end, or the next due time.
MIRAKURU_DECL void Guardian::wait() {
  constexpr std::int64_t never = INT64_MAX, second = 1'000'000'000;
  const auto time = now();
  auto left = never;
  if (signal_ != 0) left = syscalls::least(left, look_at_ - time);
  if (orphaned_ && next_signal_ < signal_count_)
    left = syscalls::least(left, signals_[next_signal_].after - (time - orphaned_at_));
  if (left < 0) left = 0;
  const timespec limit{.tv_sec = left / second, .tv_nsec = left % second};

  pollfd events[3] = {{.fd = orphaned_ ? -1 : channel_, .events = POLLIN, .revents = 0},
                      {.fd = orphaned_ ? -1 : owner_, .events = POLLIN, .revents = 0},
                      {.fd = children_, .events = POLLIN, .revents = 0}};
  constexpr timespec at_once = {};
  const timespec* const how_long = unmap_unused_ ? &at_once : left == never ? nullptr : &limit;
  if (syscalls::call(SYS_ppoll, events, 3, how_long, nullptr, 0) <= 0) return unmap_unused();
  if (events[0].revents != 0) receive(events[0].revents);
  if (events[1].revents != 0) on_owner_exit();
  signalfd_siginfo news;
  if (events[2].revents != 0) syscalls::call(SYS_read, children_, &news, sizeof news);
}

MIRAKURU_DECL void Guardian::receive(int events) {
  unsigned char signal = 0;
  if (syscalls::call(SYS_recvfrom, channel_, &signal, 1, MSG_DONTWAIT, nullptr, nullptr) == 1)
    begin_step(signal & ~group_has_it, (signal & group_has_it) != 0);
  else if ((events & (POLLHUP | POLLERR)) != 0)
    on_owner_exit();
}

MIRAKURU_DECL void Guardian::on_owner_exit() {
  if (orphaned_) return;
  orphaned_ = true;
  orphaned_at_ = now();
}

MIRAKURU_DECL void Guardian::keep_to_schedule() {
  while (orphaned_ && next_signal_ < signal_count_ &&
         now() - orphaned_at_ >= signals_[next_signal_].after) {
    begin_step(signals_[next_signal_++].signal, false);
  }
}

/// While the leader lives, a signal goes to its process group. The leader has half of the step's
/// time to end its tree. Then, or when it has ended, each process left gets the signal by its own
/// id; SIGKILL goes to all at once. A while after each step the guardian searches the tree.
MIRAKURU_DECL void Guardian::begin_step(int signal, bool group_signalled) {
  signal_ = signal;
  tree_.begin_step();
  group_signalled_ =
      group_signalled || (!leader_ended_ && syscalls::call(SYS_kill, -leader_, signal) == 0);
  if (signal == SIGKILL && group_kill_ >= 0) syscalls::call(SYS_write, group_kill_, "1", 1);
  pause_ = 4'000'000;
  const auto time = now();
  look_at_ = group_signalled_ ? time + pause_ : 0;
  spread_at_ = time + time_of_step(signal) / 2;
  spin_until_ = group_signalled_ ? time + 80'000 : 0;
}

/// The time from a signal to the next one; the whole budget for a signal that is in no step.
MIRAKURU_DECL std::int64_t Guardian::time_of_step(int signal) const {
  for (std::size_t i = 0; i + 1 < signal_count_; ++i)
    if (signals_[i].signal == signal) return signals_[i + 1].after - signals_[i].after;
  return signals_[signal_count_ - 1].after;
}

MIRAKURU_DECL void Guardian::signal_rest() {
  tree_.find(self_);
  const bool everyone = leader_ended_ || signal_ == SIGKILL || now() >= spread_at_;
  tree_.send(signal_, group_signalled_ ? leader_ : 0, everyone,
             [this](pid_t pid) { report_straggler(pid); });
  // Processes may be born, or stopped, at any time, so look again.
  pause_ = syscalls::least(pause_ * 2, 100'000'000);
  look_at_ = now() + pause_;
}

MIRAKURU_DECL void Guardian::report_straggler(pid_t pid) {
  // A limited number, as the channel must hold all for an owner that does not read.
  if (reports_ == max_reports) return;
  ++reports_;
  char text[sizeof report_.text];
  long size = syscalls::read_file(syscalls::Path{} << "/proc/" << pid << "/cmdline", text);
  while (size > 0 && text[size - 1] == '\0') --size;
  for (long i = 0; i < size; ++i)
    if (text[i] == '\0') text[i] = ' ';
  if (size == 0) {
    size = syscalls::read_file(syscalls::Path{} << "/proc/" << pid << "/comm", text);
    if (size > 0) text[size - 1] = '\0';
  }
  report(Report::straggler, pid, 0, text);
}

}  // namespace mirakuru::detail
