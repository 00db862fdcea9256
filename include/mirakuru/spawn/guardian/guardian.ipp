// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <link.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
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
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>

#include <mirakuru/spawn/guarded.hpp>
#include <mirakuru/spawn/guardian/guardian.hpp>

namespace mirakuru::detail {

// What it runs on --------------------------------------------------------------------------------

MIRAKURU_DECL const Modules* Modules::of_this_process() {
  struct Search {
    Modules modules = {};
    bool libc = false, libraries = false;

    void look_at(const dl_phdr_info& module) {
      const auto page = static_cast<std::uintptr_t>(::getpagesize());
      Range whole{UINTPTR_MAX, 0}, zeroed;
      for (int i = 0; i < module.dlpi_phnum; ++i) {
        const auto& header = module.dlpi_phdr[i];
        if (header.p_type != PT_LOAD) continue;
        const std::uintptr_t begin = module.dlpi_addr + header.p_vaddr;
        const std::uintptr_t end = begin + header.p_memsz;
        whole.begin = std::min(whole.begin, begin & -page);
        whole.end = std::max(whole.end, (end + page - 1) & -page);
        if (header.p_memsz > header.p_filesz)
          zeroed = {(begin + header.p_filesz + page - 1) & -page, end & -page};
      }
      const std::string_view path{module.dlpi_name};
      const auto name = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
      if (whole.holds(reinterpret_cast<std::uintptr_t>(&Guardian::main))) {
        modules.own = whole;
        modules.bss = zeroed;
      }
      if (whole.holds(::getauxval(AT_SYSINFO_EHDR))) {
        modules.kernel = {whole.begin - 16 * page, whole.end};  // its data, which cannot be split
      } else if (name.starts_with("libc.") || name.starts_with("ld-musl")) {
        modules.libc = whole;
        libc = true;
      } else if (!name.empty()) {
        libraries = true;
      }
    }
    /// A program without libraries is its own C library. Somebody may have put a function of his
    /// own in the place of `syscall`, which a program at a fixed address cannot tell.
    [[nodiscard]] bool known() const {
      const auto address = reinterpret_cast<std::uintptr_t>(&::syscall);
      if (!libc && libraries) return false;
      return modules.libc.holds(address) ||
             (modules.own.holds(address) && std::getenv("LD_PRELOAD") == nullptr);
    }
  };
  static const Search search = [] {
    // Compilers call these by themselves, and the first call of each may be looked up in tables
    // that will have gone by then.
    volatile std::size_t none = 0;
    char here[1] = {}, there[1] = {};
    std::memset(here, 0, none);
    std::memcpy(here, there, none);
    std::memmove(here, there, none);
    none = static_cast<std::size_t>(std::memcmp(here, there, none));
    const char* volatile text = here;
    none = std::strlen(text);

    Search found;
    ::dl_iterate_phdr(
        [](dl_phdr_info* module, std::size_t, void* into) {
          static_cast<Search*>(into)->look_at(*module);
          return 0;
        },
        &found);
    return found;
  }();
  return search.known() ? &search.modules : nullptr;
}

// What it is told --------------------------------------------------------------------------------

/// Lays strings one behind another into memory that is large enough.
class StringArena {
 public:
  explicit StringArena(char* at) : at_{at} {}

  template <class T>
  T* array(std::size_t count) {
    at_ += -reinterpret_cast<std::uintptr_t>(at_) % alignof(T);
    return reinterpret_cast<T*>(std::exchange(at_, at_ + count * sizeof(T)));
  }
  char* string(const std::string& text) {
    auto* const copy = array<char>(text.size() + 1);
    std::memcpy(copy, text.c_str(), text.size() + 1);
    return copy;
  }
  char** strings(const std::vector<std::string>& list) {
    auto* const copies = array<char*>(list.size() + 1);
    for (std::size_t i = 0; i < list.size(); ++i) copies[i] = string(list[i]);
    copies[list.size()] = nullptr;
    return copies;
  }

 private:
  char* at_;
};

inline std::string guardian_title(const LaunchRequest& launch) {
  std::string title = "mirakuru: guards";
  for (const auto& word : launch.argv) (title += ' ') += word;
  title.resize(std::min<std::size_t>(title.size(), 1000));
  return title;
}

MIRAKURU_DECL std::size_t Guardian::extra_size(const Task& task) {
  const auto& launch = task.launch;
  std::size_t size = launch.program.size() + launch.cwd.size() + task.group.path.size() + 1100 +
                     task.last_signals.size_bytes();
  for (const auto* list : {&launch.argv, &launch.environment})
    for (const auto& text : *list) size += text.size() + 1 + 2 * sizeof(char*);
  return size;
}

MIRAKURU_DECL Guardian::Guardian(const Task& task)
    : channel_{task.channel},
      owner_{task.owner},
      group_{task.group.directory.get()},
      group_kill_{task.group.kill.get()},
      mark_{task.mark},
      area_{task.area},
      streams_{task.launch.in, task.launch.out, task.launch.err},
      signal_count_{task.last_signals.size()},
      unmap_unused_{task.modules != nullptr} {
  if (unmap_unused_) modules_ = *task.modules;
  StringArena packing{reinterpret_cast<char*>(this + 1)};
  signals_ = packing.array<LastSignal>(signal_count_);
  for (std::size_t i = 0; i < signal_count_; ++i)
    signals_[i] = {std::chrono::nanoseconds{task.last_signals[i].at.time_since_epoch()}.count(),
                   task.last_signals[i].signal};
  argv_ = packing.strings(task.launch.argv);
  environment_ = packing.strings(task.launch.environment);
  program_ = packing.string(task.launch.program);
  cwd_ = packing.string(task.launch.cwd);
  title_ = packing.string(guardian_title(task.launch));
  group_path_ = packing.string(task.group.path);
  group_name_ = group_path_ + (task.group.path.rfind('/') + 1);  // npos + 1 is 0

  // Itself, and the thread's own data, where `syscall` leaves its error; as large as a page can be.
  constexpr std::uintptr_t largest = 64 * 1024;
  const auto around = [](const void* begin, std::size_t size) {
    const auto at = reinterpret_cast<std::uintptr_t>(begin);
    return Range{(at - largest) & -largest, (at + size + 2 * largest) & -largest};
  };
  needed_[0] = around(this, sizeof *this + extra_size(task));
  needed_[1] = around(&errno, 0);
  needed_[2] = around(__builtin_thread_pointer(), 0);
  needed_[3] = around(reinterpret_cast<void*>(area_.begin), area_.end - area_.begin);
}

// Its life ---------------------------------------------------------------------------------------

MIRAKURU_DECL int Guardian::main(void* guardian) {
  static_cast<Guardian*>(guardian)->run();
  syscalls::call(SYS_exit_group, 0);
  return 0;
}

MIRAKURU_DECL void Guardian::run() {
  // Before the command runs no more than must be: the owner waits. All signals are blocked.
  self_ = static_cast<pid_t>(syscalls::call(SYS_getpid));
  syscalls::call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  syscalls::call(SYS_prctl, PR_SET_PDEATHSIG, SIGCONT, 0, 0, 0);  // somebody may have stopped it
  syscalls::call(SYS_setsid);  // here, as it may cost a process its turn, and there is no other yet
  reset_signals();
  leader_ = spawn();
  if (leader_ < 0) return report(Report::failed, 0, errno, "clone");

  close_others();
  const std::uint64_t child_ended = std::uint64_t{1} << (SIGCHLD - 1);
  children_ = static_cast<int>(
      syscalls::call(SYS_signalfd4, -1, &child_ended, sizeof child_ended, SFD_CLOEXEC));
  // The leader then dies with this process.
  if (children_ < 0) return report(Report::failed, 0, errno, "signalfd");
  syscalls::call(SYS_chdir, "/");
  take_title();
  report(Report::spawned, leader_, self_);

  while (reap()) {
    keep_to_schedule();
    if (signal_ != 0 && now() >= look_at_) signal_rest();
    // To sleep and be woken takes as long as most commands do to end.
    if (leader_ended_ || now() >= spin_until_) wait();
  }
  if (group_ >= 0) syscalls::remove_directories(AT_FDCWD, group_path_);
}

/// The command starts as from a shell: exec would hand on what the owner ignores. And ignored by
/// default alone, children's ends are still to be read.
MIRAKURU_DECL void Guardian::reset_signals() {
  const unsigned long defaults[4] = {};  // the kernel's struct sigaction, as large as it gets
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

/// Returns when the command is being executed.
MIRAKURU_DECL pid_t Guardian::spawn() {
#if !defined(MIRAKURU_SANITIZED)  // ThreadSanitizer takes every clone for a fork
  // Not a fork: what the copy has of the owner's pages would be copied again.
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

/// A system may take the group and do nothing about it.
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

MIRAKURU_DECL void Guardian::fail(const char* name) {
  report(Report::failed, 0, errno, name);
  syscalls::call(SYS_exit_group, 127);
}

/// The child has the guardian's memory until it executes the command. Libraries' functions are not
/// called here either: the first call of each costs its look-up by the dynamic linker.
MIRAKURU_DECL void Guardian::become_command() {
  if (group_ >= 0 && !in_cgroup()) {
    errno = ESRCH;
    fail("the command is not in its cgroup");
  }
  const std::uint64_t mark[2] = {mark_.soft, mark_.hard};
  if (mark_.soft != 0) syscalls::call(SYS_prlimit64, 0, RLIMIT_LOCKS, mark, nullptr);
  // Somebody may kill the guardian, and may have done so just now.
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
  fail("execve");
}

// Settling down ----------------------------------------------------------------------------------

MIRAKURU_DECL void Guardian::close_others() {
  const int own[] = {channel_, owner_, children_, group_kill_};
  for (unsigned from = 0; from <= INT_MAX;) {
    unsigned next = ~0U;  // the first of its own from there on
    for (const int fd : own)
      if (fd >= 0 && static_cast<unsigned>(fd) >= from && static_cast<unsigned>(fd) < next)
        next = static_cast<unsigned>(fd);
    if (next > from) close_range(from, next == ~0U ? next : next - 1);
    from = next == ~0U ? next : next + 1;
  }
}

/// Closes these descriptors, now or when the process executes something.
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

MIRAKURU_DECL ArgumentArea ArgumentArea::of_this_process() {
  char text[2048];
  syscalls::read_file("/proc/thread-self/stat",
                      text);  // that of a main thread that has ended is empty
  const char* at = text;
  for (const char* c = text; *c != '\0'; ++c)
    if (*c == ')') at = c;
  // proc_pid_stat(5): behind the name comes field 3; arg_start is 48, the ends of both areas
  // 49, 51.
  std::uintptr_t fields[4] = {};
  for (int field = 2; *at != '\0' && field < 51; ++at) {
    if (*at != ' ' || ++field < 48) continue;
    const char* value = at + 1;
    fields[field - 48] = syscalls::number_at(value);
  }
  const auto [begin, arguments_end, environment, environment_end] = fields;
  // Of the environment no more than a title may take.
  const auto end = environment == arguments_end ? environment_end : arguments_end;
  const auto enough = begin + 2048 > arguments_end ? begin + 2048 : arguments_end;
  return {begin, arguments_end, end < enough ? end : enough};
}

/// Puts its title where `ps` reads the arguments, in place of the owner's.
MIRAKURU_DECL void Guardian::take_title() {
  syscalls::call(SYS_prctl, PR_SET_NAME, "mirakuru", 0, 0, 0);
  if (area_.arguments_end <= area_.begin) return;
  auto* const text = reinterpret_cast<char*>(area_.begin);
  const auto room = area_.end - area_.begin;
  std::size_t size = 0;
  for (; size + 1 < room && title_[size] != '\0'; ++size) text[size] = title_[size];
  do text[size++] = '\0';
  while (size < area_.arguments_end - area_.begin);
}

/// When there is nothing else to do: all but the C library and what the guardian is made of. Less
/// remains to be taken down then when it exits, for which the owner waits.
MIRAKURU_DECL void Guardian::unmap_unused() {
  if (!unmap_unused_) return;
  unmap_unused_ = false;
  const Range code[] = {modules_.own, modules_.libc, modules_.kernel};
  const auto outside = [&](Range whole, auto visit) {
    syscalls::for_each_part_outside(
        whole, needed_, [&](Range data) { syscalls::for_each_part_outside(data, code, visit); });
  };
  bool sealed = false;
  const auto unmap = [&](Range part) {
    if (syscalls::call(SYS_munmap, part.begin, part.end - part.begin) != 0) sealed = true;
  };
  Range all;
  for (const auto& range : needed_) all.end = range.end > all.end ? range.end : all.end;
  for (const auto& range : code) all.end = range.end > all.end ? range.end : all.end;
  outside(all, unmap);
  // A mapping that cannot go, by mseal(2), keeps all in its part.
  if (sealed)
    syscalls::each_mapping([&](const Mapping& mapping) { outside(mapping.range, unmap); });
  // Emptied, and not unmapped: code that counts what it runs writes there.
  syscalls::for_each_part_outside(modules_.bss, needed_, [](Range part) {
    syscalls::call(SYS_madvise, part.begin, part.end - part.begin, MADV_DONTNEED);
  });
}

// Guarding ---------------------------------------------------------------------------------------

/// False when nothing is below it any more.
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

/// In one message, so that the owner never sees the end of a lone process and not of its tree.
MIRAKURU_DECL void Guardian::report_end(bool last) {
  if (leader_ended_ && !end_reported_) {
    end_reported_ = true;
    report(Report::ended, leader_, exit_code_, nullptr, last);
  } else if (last) {
    report(Report::empty, 0, 0, nullptr, last);
  }
}

/// By the system call: a test may have put a clock of its own in the function's place.
MIRAKURU_DECL std::int64_t Guardian::now() {
  timespec time{};
  syscalls::call(SYS_clock_gettime, CLOCK_MONOTONIC, &time);
  return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
}

/// Until a child ends, the owner says something or ends, or something is due.
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
  if (events[0].revents != 0) listen(events[0].revents);
  if (events[1].revents != 0) on_owner_exit();
  signalfd_siginfo news;
  if (events[2].revents != 0) syscalls::call(SYS_read, children_, &news, sizeof news);
}

MIRAKURU_DECL void Guardian::listen(int events) {
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

/// While the leader lives a signal goes to its process group, and it has half of the step's time to
/// end its tree as it knows how to; what is left when it has ended, or that time has, or has left
/// the group when it is to be killed, is signalled by itself. A step that changes nothing at once
/// is looked after a little later.
MIRAKURU_DECL void Guardian::begin_step(int signal, bool group_signalled) {
  signal_ = signal;
  signalled_count_ = 0;
  group_signalled_ =
      group_signalled || (!leader_ended_ && syscalls::call(SYS_kill, -leader_, signal) == 0);
  if (signal == SIGKILL && group_kill_ >= 0) syscalls::call(SYS_write, group_kill_, "1", 1);
  pause_ = 4'000'000;
  const auto time = now();
  look_at_ = group_signalled_ ? time + pause_ : 0;
  spread_at_ = time + time_of_step(signal) / 2;
  spin_until_ = group_signalled_ ? time + 80'000 : 0;
}

/// How long a signal has until the next one; all of the budget for one that is in no step.
MIRAKURU_DECL std::int64_t Guardian::time_of_step(int signal) const {
  for (std::size_t i = 0; i + 1 < signal_count_; ++i)
    if (signals_[i].signal == signal) return signals_[i + 1].after - signals_[i].after;
  return signals_[signal_count_ - 1].after;
}

MIRAKURU_DECL void Guardian::signal_rest() {
  find_all();
  for (int i = 0; i < found_count_; ++i) {
    const pid_t pid = found_[i];
    const auto process = stat(pid);
    if (!process.lives()) continue;
    const bool by_group = group_signalled_ && process.group == leader_;
    bool has_it = by_group;
    for (int j = 0; j < signalled_count_ && !has_it; ++j) has_it = signalled_[j] == pid;
    if (!has_it && (leader_ended_ || signal_ == SIGKILL || now() >= spread_at_)) {
      has_it = true;
      report_straggler(pid);
      if (signalled_count_ < max_signalled) signalled_[signalled_count_++] = pid;
      syscalls::call(SYS_kill, pid, signal_);
    }
    // The whole group, as a member may be handing over to its child; and again, as an id may be.
    if (has_it && !by_group && signal_ == SIGKILL)
      syscalls::call(SYS_kill, process.group > 1 ? -process.group : pid, SIGKILL);
    if (has_it && process.state == 'T')
      syscalls::call(SYS_kill, pid, SIGCONT);  // else it sleeps on it
  }
  // New ones may be born, or stopped, at any time.
  pause_ = syscalls::least(pause_ * 2, 100'000'000);
  look_at_ = now() + pause_;
}

MIRAKURU_DECL void Guardian::add(pid_t pid) {
  if (found_count_ < max_found) found_[found_count_++] = pid;
}

/// All processes below it. What is born meanwhile is found the next time.
MIRAKURU_DECL void Guardian::find_all() {
  found_count_ = 0;
  // In a pid namespace of its own /proc may still be that of the one around it, or not be there.
  char own[16] = {};
  syscalls::call(SYS_readlinkat, AT_FDCWD, "/proc/self", own, sizeof own - 1);
  const char* digits = own;
  proc_is_own_ = static_cast<pid_t>(syscalls::number_at(digits)) == self_;
  if (!proc_is_own_) return find_marked();
  const bool listed =
      syscalls::call(SYS_faccessat, AT_FDCWD, "/proc/thread-self/children", R_OK) == 0;
  if (listed) {
    find_children(self_);
    for (int i = 0; i < found_count_; ++i) find_children(found_[i]);
    return;
  }
  // A kernel without CONFIG_PROC_CHILDREN: all processes, as often as there are generations.
  const auto found = [this](pid_t pid) {
    int i = 0;
    while (i < found_count_ && found_[i] != pid) ++i;
    return i < found_count_;
  };
  for (int before = -1; before != found_count_;) {
    before = found_count_;
    syscalls::each_number("/proc", [&](pid_t pid) {
      if (const auto process = stat(pid);
          process.state != 0 && (process.parent == self_ || found(process.parent)) && !found(pid))
        add(pid);
    });
  }
}

/// By the mark, among all ids that there may be.
MIRAKURU_DECL void Guardian::find_marked() {
  constexpr pid_t most_ids = 1 << 22;
  for (pid_t pid = 2; pid < most_ids; ++pid) {
    std::uint64_t limit[2];
    if (syscalls::call(SYS_prlimit64, pid, RLIMIT_LOCKS, nullptr, limit) == 0 &&
        mark_.is_on(limit[0], limit[1]))
      add(pid);
  }
}

/// A process's children are listed by those of its threads that made them.
MIRAKURU_DECL void Guardian::find_children(pid_t parent) {
  syscalls::each_number(syscalls::Path{} << "/proc/" << parent << "/task", [=, this](pid_t thread) {
    syscalls::File children{syscalls::Path{} << "/proc/" << parent << "/task/" << thread
                                             << "/children"};
    pid_t child = 0;
    for (char c; (c = children.get()) != '\0';) {
      if (c != ' ') {
        child = child * 10 + (c - '0');
      } else {
        add(child);
        child = 0;
      }
    }
  });
}

MIRAKURU_DECL Guardian::Stat Guardian::stat(pid_t pid) const {
  char text[512];
  Stat stat;
  if (!proc_is_own_) {
    stat.state = '?';
    return stat;
  }
  syscalls::read_file(syscalls::Path{} << "/proc/" << pid << "/stat", text);
  const char* at = syscalls::behind_name(text);
  if (at == nullptr) return stat;
  stat.state = at[2];
  for (int field = 2; *at != '\0' && field < 20; ++at) {
    if (*at != ' ') continue;
    const char* value = at + 1;
    if (++field == 4) stat.parent = static_cast<pid_t>(syscalls::number_at(value));
    if (field == 5) stat.group = static_cast<pid_t>(syscalls::number_at(value));
    if (field == 20) stat.threads = static_cast<pid_t>(syscalls::number_at(value));
  }
  return stat;
}

MIRAKURU_DECL void Guardian::report_straggler(pid_t pid) {
  // Each once, and not so many that the channel cannot hold them for an owner that does not read.
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
