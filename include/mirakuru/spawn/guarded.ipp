// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <new>
#include <string>
#include <system_error>

#include <mirakuru/error.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/os/signals_blocked.hpp>
#include <mirakuru/spawn/guarded.hpp>
#include <mirakuru/spawn/guardian/guardian.hpp>
#include <mirakuru/spawn/guardian/syscalls.hpp>

namespace mirakuru {

namespace detail {

/// Valgrind keeps data of its own among the process's, of which it cannot be told.
inline bool under_valgrind() {
  const char* preloaded = std::getenv("LD_PRELOAD");
  return preloaded != nullptr && std::strstr(preloaded, "vgpreload") != nullptr;
}

extern "C" {
// Functions of the profilers': there when the program is built for one.
[[gnu::weak]] void __gmon_start__();
[[gnu::weak]] void __gcov_init(void*);
[[gnu::weak]] void __llvm_profile_instrument_target(std::uint64_t, void*, std::uint32_t);
}

/// True when calls of this code lead to somebody who needs memory of the process's: a sanitizer, a
/// profiler, or the dynamic linker at each call.
inline bool instrumented() {
#if defined(MIRAKURU_SANITIZED)
  return true;
#else
  static const bool by_linker = std::getenv("LD_BIND_NOT") != nullptr ||
                                std::getenv("LD_AUDIT") != nullptr ||
                                std::getenv("LD_PROFILE") != nullptr;
  return by_linker || under_valgrind() || __gmon_start__ != nullptr || __gcov_init != nullptr ||
         __llvm_profile_instrument_target != nullptr;
#endif
}

/// While this lives a fork does not copy the large parts of this process's own data, but for what
/// is needed; that copy takes fifteen milliseconds a gigabyte. Not with other threads, for one of
/// them might fork meanwhile and want that data; nor under Valgrind, which keeps its own data
/// there.
class LargeMemoryLeftOut {
 public:
  template <std::size_t count>
  explicit LargeMemoryLeftOut(const Range (&needed)[count]) {
    constexpr long large_process = 64 * 1024;  // kilobytes
    constexpr std::uintptr_t large = 1024 * 1024;
    rusage usage;
    if (::getrusage(RUSAGE_SELF, &usage) != 0 || usage.ru_maxrss < large_process || instrumented())
      return;
    struct stat threads;  // a directory has a link for each of those within, and two of its own
    if (::stat("/proc/self/task", &threads) != 0 || threads.st_nlink != 3) return;
    std::vector<Range> ranges;
    syscalls::each_mapping([&](const Mapping& mapping) {
      if (mapping.disposable && !mapping.stack)
        syscalls::for_each_part_outside(mapping.range, needed, [&](Range part) {
          if (part.end - part.begin >= large) ranges.push_back(part);
        });
    });
    left_out_.reserve(ranges.size());
    for (const auto& range : ranges)
      if (advise(range, MADV_DONTFORK)) left_out_.push_back(range);
  }
  ~LargeMemoryLeftOut() {
    for (const auto& range : left_out_) advise(range, MADV_DOFORK);
  }
  LargeMemoryLeftOut(const LargeMemoryLeftOut&) = delete;
  LargeMemoryLeftOut& operator=(const LargeMemoryLeftOut&) = delete;

 private:
  static bool advise(Range range, int advice) {
    return ::madvise(reinterpret_cast<void*>(range.begin), range.end - range.begin, advice) == 0;
  }

  std::vector<Range> left_out_;
};

MIRAKURU_DECL RlimitTag RlimitTag::make() {
  // Large enough that nobody else has them, and no larger than an unprivileged process may set.
  constexpr std::uint64_t least = std::uint64_t{1} << 61, most = std::uint64_t{1} << 62;
  rlimit limit{};
  ::getrlimit(RLIMIT_LOCKS, &limit);
  if (limit.rlim_max <= least) return {};
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random)
    throw std::system_error{errno, std::generic_category(), "getrandom"};
  const bool below_another = limit.rlim_max < most;
  const auto soft = least + random % ((below_another ? limit.rlim_max : most) - least);
  return {.soft = soft, .hard = below_another ? limit.rlim_max : soft};
}

/// Makes a guardian. Throws `std::system_error`.
inline pid_t fork_guardian(const LaunchRequest& launch, const Cgroup& group, int channel,
                           const RlimitTag& mark) {
  static const auto area = ArgumentArea::of_this_process();
  // Besides the channel's end: a child that the host forks has a copy of ours, and may outlive it.
  const UniqueFd owner{static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))};
  const SignalSchedule last{launch.steps, launch.stop_budget, {}};
  const Guardian::Task task{.launch = launch,
                            .last_signals = last.entries(),
                            .channel = channel,
                            .owner = owner.get(),
                            .mark = mark,
                            .area = under_valgrind() ? ArgumentArea{} : area,
                            .modules = instrumented() ? nullptr : Modules::of_this_process(),
                            .group = group};
  const auto size = sizeof(Guardian) + Guardian::extra_size(task);
  auto space = size + alignof(Guardian);
  const auto memory = std::make_unique_for_overwrite<std::byte[]>(space);
  void* at = memory.get();
  auto* const guardian = new (std::align(alignof(Guardian), size, at, space)) Guardian{task};
  const SignalsBlocked blocked;
  const LargeMemoryLeftOut left_out{guardian->needed()};
  // Without a signal at its end: neither the host's handlers nor its wait() get to know of it.
  const pid_t pid = ::clone(Guardian::main, guardian->stack_top(), 0, guardian);
  if (pid < 0) throw std::system_error{errno, std::generic_category(), "clone"};
  return pid;
}

}  // namespace detail

MIRAKURU_DECL GuardedProcess::GuardedProcess(pid_t guardian, detail::UniqueFd channel,
                                             const detail::RlimitTag& mark, std::string tag,
                                             std::string cgroup)
    : guardian_{guardian},
      owner_{::getpid()},
      mark_{mark.soft},
      env_tag_{std::move(tag)},
      cgroup_{std::move(cgroup)},
      channel_{std::move(channel)} {}

MIRAKURU_DECL GuardedProcess::GuardedProcess(GuardedProcess&&) noexcept = default;
MIRAKURU_DECL GuardedProcess& GuardedProcess::operator=(GuardedProcess&&) noexcept = default;
MIRAKURU_DECL GuardedProcess::~GuardedProcess() = default;

/// Takes a message off the channel, if there is one. False when there will be none any more.
MIRAKURU_DECL bool GuardedProcess::receive(bool& more) {
  detail::Report report;
  const auto size = ::recv(channel_.get(), &report, sizeof report, MSG_DONTWAIT);
  // ECONNRESET: it has ended without reading all; what it has written comes with the next call.
  more = size > 0 || (size < 0 && (errno == EINTR || errno == ECONNRESET));
  if (size == 0) trouble_ = "its guardian has ended";
  if (size > 0) take(report);
  return size > 0 ? !report.last : size < 0;
}

MIRAKURU_DECL void GuardedProcess::add_straggler(pid_t pid, std::string command) {
  const bool known = std::any_of(stragglers_.begin(), stragglers_.end(),
                                 [pid](const Straggler& other) { return other.pid == pid; });
  if (!known) stragglers_.push_back({pid, std::move(command)});
}

namespace detail {

/// For an owner whose children are in a pid namespace of their own.
inline pid_t only_child(pid_t parent) {
  const auto id = std::to_string(parent);
  std::ifstream children{"/proc/" + id + "/task/" + id + "/children"};
  pid_t child = 0;
  if (!(children >> child))
    throw std::system_error{ESRCH, std::generic_category(), "the command's id in this namespace"};
  return child;
}

}  // namespace detail

MIRAKURU_DECL void GuardedProcess::take(const detail::Report& report) {
  using Kind = detail::Report::Kind;
  reply_pending_ = false;
  if (report.kind == Kind::spawned)
    leader_ = report.value == guardian_ ? report.pid : detail::only_child(guardian_);
  if (report.kind == Kind::ended) exit_code_ = report.value;
  if (report.kind == Kind::straggler) add_straggler(report.pid, report.text);
  if (report.kind == Kind::failed)
    throw std::system_error{report.value, std::generic_category(), report.text};
}

/// Waits for the guardian's own end, which is near.
MIRAKURU_DECL void GuardedProcess::reap_guardian() {
  siginfo_t info{};
  // Some looks first, as to sleep and be woken takes as long as the exit. __WALL: it is no child
  // that a host's wait() finds. ECHILD: unless that does the same.
  const auto spin_until = detail::Clock::now() + std::chrono::microseconds{80};
  while (info.si_pid == 0) {
    const int no_wait = detail::Clock::now() < spin_until ? WNOHANG : 0;
    const auto id = static_cast<id_t>(guardian_);
    if (::waitid(P_PID, id, &info, WEXITED | __WALL | no_wait) != 0 && errno != EINTR) break;
  }
  if (info.si_pid != 0 && info.si_code != CLD_EXITED)
    trouble_ = "its guardian was " + detail::exit_headline(-info.si_status);
  guardian_ = 0;
  channel_.reset();  // what is left to do may need a descriptor
  leader_fd_.reset();
}

namespace detail {

/// The limits that a process has on file locks; where it belongs to somebody else, as its file in
/// /proc tells them.
inline RlimitTag limits_of(pid_t pid) {
  rlimit limit;
  if (::prlimit(pid, RLIMIT_LOCKS, nullptr, &limit) == 0) return {limit.rlim_cur, limit.rlim_max};
  RlimitTag found;
  std::ifstream file{"/proc/" + std::to_string(pid) + "/limits"};
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("Max file locks"))
      std::sscanf(line.c_str(), "Max file locks %" SCNu64 " %" SCNu64, &found.soft, &found.hard);
  return found;
}

inline bool has_variable(pid_t pid, const std::string& variable) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/environ"};
  for (std::string entry; std::getline(file, entry, '\0');)
    if (entry == variable) return true;
  return false;
}

}  // namespace detail

MIRAKURU_DECL bool GuardedProcess::is_ours(pid_t pid) const {
  const auto limits = detail::limits_of(pid);
  if (detail::RlimitTag{mark_}.is_on(limits.soft, limits.hard)) return true;
  return !env_tag_.empty() && detail::has_variable(pid, env_tag_);
}

/// Ends what a guardian that was killed has left. True while there is something.
MIRAKURU_DECL bool GuardedProcess::kill_rest() {
  if (!cgroup_.empty()) {
    const detail::UniqueFd all{::open((cgroup_ + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC)};
    if (all && ::write(all.get(), "1", 1) < 0) return true;
  }
  bool found = false;
  // What hands over to a child of its own all the time may slip through a single look.
  for (int looks = 0; looks < 3 && !found; ++looks) {
    const bool can_tell = detail::for_each_pid([&](pid_t pid) {
      if (pid == owner_ || !is_ours(pid)) return true;
      const auto stat = detail::process_stat(pid);
      if (!stat.lives()) {
        ::waitid(P_PID, static_cast<id_t>(pid), nullptr, WEXITED | WNOHANG | __WALL);  // if a child
        return true;
      }
      found = true;
      if (pid != leader_) add_straggler(pid, detail::command_line(pid));
      if (::kill(pid, SIGKILL) != 0) return true;
      std::erase_if(killed_, [pid](const Killed& killed) { return killed.pid == pid; });
      killed_.push_back({pid, stat.started});
      return true;
    });
    found |= !can_tell;
  }
  // One that is exiting has given up its marks before its files.
  std::erase_if(killed_, [](const Killed& killed) {
    const auto stat = detail::process_stat(killed.pid);
    return stat.state != '?' && (!stat.lives() || stat.started != killed.started);
  });
  if (found || !killed_.empty()) return true;
  if (!exit_code_) exit_code_ = -SIGKILL;
  if (!cgroup_.empty()) ::rmdir(cgroup_.c_str());
  return false;
}

/// Takes what is on the channel. False when there will be nothing any more.
MIRAKURU_DECL bool GuardedProcess::drain() {
  bool open = true;
  for (bool more = true; more && open;) open = receive(more);
  return open;
}

/// A child that the host forks may hold a copy of the guardian's end of the channel, which then
/// does not close with it.
MIRAKURU_DECL bool GuardedProcess::guardian_has_ended() {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(guardian_), &info, WEXITED | WNOHANG | WNOWAIT | __WALL) ==
          0 &&
      info.si_pid == 0)
    return false;
  if (!drain()) return true;
  if (info.si_pid == 0) return false;  // a host's wait() has taken it; the channel tells the rest
  trouble_ = "its guardian has ended";
  return true;
}

/// The kernel knows of the leader's end before the guardian has said so.
MIRAKURU_DECL bool GuardedProcess::alive() {
  if (::getpid() != owner_) return false;
  if (guardian_ != 0) {
    pollfd events[2] = {{.fd = channel_.get(), .events = POLLIN, .revents = 0},
                        {.fd = exit_code_ ? -1 : leader_fd_.get(), .events = POLLIN, .revents = 0}};
    ::poll(events, 2, 0);
    bool open = events[0].revents == 0 || drain();
    if (open && !exit_code_ && events[1].revents != 0) {
      ::kill(guardian_, SIGCONT);  // somebody may have stopped it
      ::poll(events, 1, 1000);     // its report is on the way
      open = drain();
    }
    if (open && !guardian_has_ended()) {
      if (reply_pending_) ::kill(guardian_, SIGCONT);  // somebody may have stopped it
      return true;
    }
    reap_guardian();
  }
  return !trouble_.empty() && kill_rest();
}

MIRAKURU_DECL void GuardedProcess::signal(int signal) noexcept {
  if (guardian_ == 0 || ::getpid() != owner_) return;
  // The group has it from here, if this process may signal it, which saves the guardian's waking up
  // in between. The guardian tells the leader's end right after it has reaped it, too soon for its
  // id to come again.
  const bool sent = !exit_code_ && ::kill(-leader_, signal) == 0;
  const auto byte = static_cast<unsigned char>(signal | (sent ? detail::group_has_it : 0));
  ::send(channel_.get(), &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  reply_pending_ = true;
}

MIRAKURU_DECL void GuardedProcess::await_leader() {
  while (leader_ == 0) {
    pollfd event{.fd = channel_.get(), .events = POLLIN, .revents = 0};
    bool more;
    const bool told = ::poll(&event, 1, 250) > 0;
    // The channel may be held open by a child that the host has forked just now.
    if ((told ? !receive(more) : guardian_has_ended()) && leader_ == 0)
      throw std::system_error{EPIPE, std::generic_category(), "the guardian"};
    if (!told) ::kill(guardian_, SIGCONT);  // somebody may have stopped it
  }
}

MIRAKURU_DECL GuardedProcess GuardedProcess::make(const LaunchRequest& launch,
                                                  detail::Cgroup group) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    throw std::system_error{errno, std::generic_category(), "socketpair"};
  detail::UniqueFd ours{ends[0]}, theirs{ends[1]};
  ours = detail::move_above_stdio(std::move(ours));
  theirs = detail::move_above_stdio(std::move(theirs));
  const auto tag = std::find_if(
      launch.environment.begin(), launch.environment.end(),
      [](const std::string& variable) { return variable.starts_with("mirakuru_uuid="); });
  const auto mark = detail::RlimitTag::make();
  const pid_t guardian = detail::fork_guardian(launch, group, theirs.get(), mark);
  GuardedProcess process{guardian, std::move(ours), mark,
                         tag != launch.environment.end() ? *tag : std::string{},
                         std::move(group.path)};
  theirs.reset();
  try {
    process.await_leader();
  } catch (...) {
    process.reap_guardian();
    while (!process.trouble_.empty() && process.kill_rest()) {
      const timespec pause{.tv_sec = 0, .tv_nsec = 1'000'000};
      ::ppoll(nullptr, 0, &pause, nullptr);
    }
    throw;
  }
  detail::UniqueFd leader{static_cast<int>(::syscall(SYS_pidfd_open, process.leader_, 0))};
  if (leader) process.leader_fd_ = detail::move_above_stdio(std::move(leader));
  return process;
}

}  // namespace mirakuru
