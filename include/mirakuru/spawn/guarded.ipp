// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sched.h>
#include <cinttypes>
#include <fstream>
#include <new>

#include <mirakuru/error.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/os/signals_blocked.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/spawn/guarded.hpp>
#include <mirakuru/spawn/guardian/guardian.hpp>

namespace mirakuru {

namespace detail {

/// Forks a guardian. Throws `std::system_error`.
inline pid_t fork_guardian(const LaunchRequest& request, const LocalExec& exec, const Cgroup& group,
                           int channel, const RlimitTag& mark) {
  static const auto area = ArgumentArea::of_this_process();
  // The channel's end does not tell the owner's death: a child of the host may hold a copy of it.
  const auto owner = open_pidfd(::getpid());
  const SignalSchedule last{request.steps, request.stop_budget, {}};
  const Guardian::Task task{.request = request,
                            .exec = exec,
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
  // Without a signal at its end, so neither the host's handlers nor its wait() notice it.
  const pid_t pid = ::clone(Guardian::main, guardian->stack_top(), 0, guardian);
  if (pid < 0) throw_errno("clone");
  return pid;
}

}  // namespace detail

MIRAKURU_DECL GuardedProcess::GuardedProcess(GuardedProcess&&) noexcept = default;
MIRAKURU_DECL GuardedProcess& GuardedProcess::operator=(GuardedProcess&&) noexcept = default;
MIRAKURU_DECL GuardedProcess::~GuardedProcess() = default;

/// Takes one message from the channel, if there is one. False when no more will come.
MIRAKURU_DECL bool GuardedProcess::receive(bool& more) {
  detail::Report report;
  const auto size = ::recv(channel_.get(), &report, sizeof report, MSG_DONTWAIT);
  // ECONNRESET: the guardian has ended without reading all. Its own messages come with the next
  // call.
  more = size > 0 || (size < 0 && (errno == EINTR || errno == ECONNRESET));
  if (size == 0) trouble_ = "its guardian has ended";
  if (size > 0) take(report);
  return size > 0 ? !report.last : size < 0;
}

MIRAKURU_DECL void GuardedProcess::add_straggler(pid_t pid, std::string command) {
  if (std::ranges::find(stragglers_, pid, &Straggler::pid) == stragglers_.end())
    stragglers_.push_back({pid, std::move(command)});
}

MIRAKURU_DECL void GuardedProcess::take(const detail::Report& report) {
  using Kind = detail::Report::Kind;
  reply_pending_ = false;
  if (report.kind == Kind::spawned) leader_ = report.pid;
  if (report.kind == Kind::spawned && report.value != guardian_) {
    // The guardian's children are in another pid namespace, so the owner sees another id.
    const auto children = "task/" + std::to_string(guardian_) + "/children";
    leader_ = std::atoi(detail::read_proc(guardian_, children.c_str()).c_str());
    if (leader_ == 0) detail::throw_error(ESRCH, "the command's id in this namespace");
  }
  if (report.kind == Kind::ended) exit_code_ = report.value;
  if (report.kind == Kind::straggler) add_straggler(report.pid, report.text);
  if (report.kind == Kind::failed) {
    if (std::strcmp(report.text, detail::exec_call) == 0)
      throw detail::exec_failure(program_, report.value);
    detail::throw_error(report.value, report.text);
  }
}

/// Waits for the guardian's own end, which is near.
MIRAKURU_DECL void GuardedProcess::reap_guardian() {
  siginfo_t info{};
  // Spin first: the exit takes no longer than to sleep and wake up. __WALL: a host's wait() does
  // not find this child. ECHILD: a host's wait() with __WALL does.
  const auto spin_until = detail::Clock::now() + std::chrono::microseconds{80};
  while (info.si_pid == 0) {
    const int no_wait = detail::Clock::now() < spin_until ? WNOHANG : 0;
    const auto id = static_cast<id_t>(guardian_);
    if (::waitid(P_PID, id, &info, WEXITED | __WALL | no_wait) != 0 && errno != EINTR) break;
  }
  if (info.si_pid != 0 && info.si_code != CLD_EXITED)
    trouble_ = "its guardian was " + detail::exit_headline(-info.si_status);
  guardian_ = 0;
  channel_.reset();  // kill_rest() may need a descriptor
  leader_fd_.reset();
}

MIRAKURU_DECL bool GuardedProcess::is_ours(pid_t pid) const {
  detail::RlimitTag limits;
  // A process of another user tells its limits in /proc only.
  if (detail::syscalls::call(SYS_prlimit64, pid, RLIMIT_LOCKS, nullptr, &limits) != 0) {
    const auto text = detail::read_proc(pid, "limits");
    if (const auto at = text.find("Max file locks"); at != text.npos)
      std::sscanf(&text[at], "Max file locks %" SCNu64 " %" SCNu64, &limits.soft, &limits.hard);
  }
  if (detail::RlimitTag{mark_}.is_on(limits)) return true;
  if (env_tag_.empty()) return false;
  std::ifstream environment{"/proc/" + std::to_string(pid) + "/environ"};
  for (std::string entry; std::getline(environment, entry, '\0');)
    if (entry == env_tag_) return true;
  return false;
}

/// Kills the tree of a guardian that was killed. True while anything of it lives.
MIRAKURU_DECL bool GuardedProcess::kill_rest() {
  if (!cgroup_.empty()) {
    const detail::UniqueFd all{::open((cgroup_ + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC)};
    if (all && ::write(all.get(), "1", 1) < 0) return true;
  }
  bool found = false;
  // A process that keeps handing over to a new child may slip through one search.
  for (int searches = 0; searches < 3 && !found; ++searches) {
    const bool can_tell = detail::for_each_pid([&](pid_t pid) {
      if (pid == owner_ || !is_ours(pid)) return true;
      const auto stat = detail::process_stat(pid);
      if (!stat.lives()) {
        ::waitid(P_PID, static_cast<id_t>(pid), nullptr, WEXITED | WNOHANG | __WALL);  // if a child
        return true;
      }
      found = true;
      if (pid != leader_) add_straggler(pid, detail::command_line(pid));
      if (::kill(pid, SIGKILL) == 0) killed_[pid] = stat.started;
      return true;
    });
    found |= !can_tell;
  }
  // An exiting process loses its marks before its files.
  std::erase_if(killed_, [](const auto& killed) {
    const auto stat = detail::process_stat(killed.first);
    return stat.state != '?' && (!stat.lives() || stat.started != killed.second);
  });
  if (found || !killed_.empty()) return true;
  if (!exit_code_) exit_code_ = -SIGKILL;
  if (!cgroup_.empty()) ::rmdir(cgroup_.c_str());
  return false;
}

/// Takes all messages from the channel. False when no more will come.
MIRAKURU_DECL bool GuardedProcess::drain() {
  bool open = true;
  for (bool more = true; more && open;) open = receive(more);
  return open;
}

/// Asks the kernel: a child of the host may hold a copy of the guardian's end of the channel, which
/// then stays open.
MIRAKURU_DECL bool GuardedProcess::guardian_has_ended() {
  siginfo_t info{};
  const auto id = static_cast<id_t>(guardian_);
  if (::waitid(P_PID, id, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 && info.si_pid == 0)
    return false;
  if (!drain()) return true;
  if (info.si_pid == 0) return false;  // a host's wait() has reaped it; the channel will close
  trouble_ = "its guardian has ended";
  return true;
}

/// The kernel tells the leader's end before the guardian does.
MIRAKURU_DECL bool GuardedProcess::alive() {
  if (::getpid() != owner_) return false;
  if (guardian_ != 0) {
    pollfd events[2] = {{.fd = channel_.get(), .events = POLLIN, .revents = 0},
                        {.fd = exit_code_ ? -1 : leader_fd_.get(), .events = POLLIN, .revents = 0}};
    ::poll(events, 2, 0);
    bool open = events[0].revents == 0 || drain();
    if (open && !exit_code_ && events[1].revents != 0) {
      ::kill(guardian_, SIGCONT);  // it may be stopped
      ::poll(events, 1, 1000);     // its report is on the way
      open = drain();
    }
    if (open && !guardian_has_ended()) {
      if (reply_pending_) ::kill(guardian_, SIGCONT);  // it may be stopped
      return true;
    }
    reap_guardian();
  }
  return !trouble_.empty() && kill_rest();
}

MIRAKURU_DECL void GuardedProcess::signal(int signal) noexcept {
  if (guardian_ == 0 || ::getpid() != owner_) return;
  // The owner signals the group itself if it may, which saves the time to wake the guardian. The id
  // is still the leader's: the guardian reports the end right after it has reaped the leader.
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
    // A child that the host has just forked may hold the channel open.
    if ((told ? !receive(more) : guardian_has_ended()) && leader_ == 0)
      detail::throw_error(EPIPE, "the guardian");
    if (!told) ::kill(guardian_, SIGCONT);  // it may be stopped
  }
}

MIRAKURU_DECL GuardedProcess GuardedProcess::make(const LaunchRequest& request, LocalExec exec,
                                                  detail::Cgroup group) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    detail::throw_errno("socketpair");
  GuardedProcess process;
  detail::UniqueFd ours{ends[0]}, theirs{ends[1]};
  process.channel_ = detail::move_above_stdio(std::move(ours));
  theirs = detail::move_above_stdio(std::move(theirs));
  const auto mark = detail::RlimitTag::make();
  process.mark_ = mark.soft;
  if (!request.id.empty()) process.env_tag_ = "mirakuru_uuid=" + request.id;
  process.owner_ = ::getpid();
  process.guardian_ = detail::fork_guardian(request, exec, group, theirs.get(), mark);
  theirs.reset();
  process.program_ = std::move(exec.program);
  process.cgroup_ = std::move(group.path);
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
  if (auto leader = detail::open_pidfd(process.leader_))
    process.leader_fd_ = detail::move_above_stdio(std::move(leader));
  return process;
}

}  // namespace mirakuru
