// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <algorithm>
#include <charconv>
#include <cstddef>
#include <new>
#include <optional>
#include <string_view>

#include <mirakuru/budget/patience.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/file_name.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/os/signals_blocked.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/spawn/guarded.hpp>
#include <mirakuru/spawn/guardian/guardian.hpp>
#include <mirakuru/spawn/own_pages.hpp>
#include <mirakuru/text/cut.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru {

namespace detail {

/// The facts about this process that its guardian needs. Rests on /proc/PID/status.
struct OwnStatus {
  bool traced = false;  // a debugger or tracer sees its calls
  // Bit 0 is signal 1. All, where /proc does not tell.
  std::uint64_t ignored_or_handled = ~std::uint64_t{0};

  [[nodiscard]] static OwnStatus read() {
    char text[4096];
    const auto size = syscalls::read_file("/proc/self/status", text);
    const std::string_view status{text, static_cast<std::size_t>(size)};
    const auto number = [&](std::string_view field, int base) -> std::optional<std::uint64_t> {
      const auto at = status.find(field);
      std::uint64_t value = 0;
      if (at == status.npos) return {};
      const auto* const begin = status.data() + at + field.size();
      if (std::from_chars(begin, status.data() + status.size(), value, base).ptr == begin)
        return {};
      return value;
    };
    OwnStatus found{.traced = number("\nTracerPid:\t", 10).value_or(0) != 0};
    const auto ignored = number("\nSigIgn:\t", 16), handled = number("\nSigCgt:\t", 16);
    if (ignored && handled) found.ignored_or_handled = *ignored | *handled;
    return found;
  }
};

/// True if the next child begins a pid namespace of its own.
inline bool child_begins_namespace() {
  const auto target = [](const char* link) {
    char text[64];
    const auto size = ::readlink(link, text, sizeof text);
    return std::string{text, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  };
  return target("/proc/self/ns/pid") != target("/proc/self/ns/pid_for_children");
}

/// Clones the guardian as a child of a helper's parent, this process. -1 if that fails.
///
/// A debugger takes a clone without a signal for a thread, and kills it along with the host. To it
/// the call of the helper looks like a fork: the call has SIGCHLD, but CLONE_PARENT hands on the
/// signal of the helper. Not inline: its stack would cost each start two pages.
[[gnu::noinline]] inline pid_t clone_by_helper(Guardian& guardian) {
  struct Helper {
    Guardian& guardian;
    pid_t pid = -1;
  } helper{guardian};
  const auto make = [](void* argument) {
    auto& [guards, pid] = *static_cast<Helper*>(argument);
    pid = ::clone(Guardian::main, guards.stack_top(), CLONE_PARENT | SIGCHLD, &guards);
    return 0;
  };
  alignas(std::max_align_t) char stack[8192];
  const pid_t id = ::clone(make, stack + sizeof stack, CLONE_VM | CLONE_VFORK, &helper);
  if (id > 0) ::waitid(P_PID, static_cast<id_t>(id), nullptr, WEXITED | __WALL);
  return helper.pid;
}

/// Clones the guardian. Throws `std::system_error`.
///
/// It has no signal at its end: neither the host's handlers nor its wait() notice it.
inline pid_t clone_guardian(Guardian& guardian, bool traced) {
  pid_t pid = -1;
  if (traced && !child_begins_namespace()) pid = clone_by_helper(guardian);
  if (pid < 0) pid = ::clone(Guardian::main, guardian.stack_top(), 0, &guardian);
  if (pid < 0) throw_errno("clone");
  return pid;
}

/// Forks a guardian. Throws `std::system_error`.
inline pid_t fork_guardian(const LaunchRequest& request, const LocalExec& exec, const Cgroup& group,
                           int channel, const RlimitTag& mark, const Scratch& scratch,
                           const LinkEnds& link) {
  static const auto area = ArgumentArea::of_this_process();
  // The channel's end does not tell the owner's death: a child of the host may hold a copy of it.
  const auto owner = open_pidfd(::getpid());
  const SignalSchedule last{request.steps, request.stop_budget, {}, request.head_start};
  std::vector<CleanUp::Task> clean_up;
  for (const auto& words : request.clean_up) {
    const LaunchRequest command{.words = words};
    clean_up.push_back({command, local_exec(command)});
  }
  const auto status = OwnStatus::read();
  const Guardian::Task task{.request = request,
                            .exec = exec,
                            .last_signals = last.entries(),
                            .channel = channel,
                            .owner = owner.get(),
                            .owner_id = ::getpid(),
                            .signals_to_reset = status.ignored_or_handled,
                            .mark = mark,
                            .area = under_valgrind() ? ArgumentArea{} : area,
                            .modules = instrumented() ? nullptr : Modules::of_this_process(),
                            .group = group,
                            .scratch = scratch,
                            .link = link,
                            .clean_up = clean_up};
  const OwnPages pages{sizeof(Guardian) + Guardian::extra_size(task), MAP_PRIVATE};
  auto* const guardian = new (pages.begin()) Guardian{task};
  const SignalsBlocked blocked;
  const LargeMemoryLeftOut left_out{guardian->needed()};
  return clone_guardian(*guardian, status.traced);
}

/// Opens a directory that the guardian removes after the owner's death, and locks it as in use: by
/// its lock file, if it is a `TempDir`. None for one that is kept. Throws `std::system_error`.
inline Scratch open_scratch(const std::string& path) {
  if (path.empty() || is_kept(path)) return {};
  const auto step = "open the scratch directory " + path;
  constexpr int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW;
  Scratch scratch;
  scratch.directory = checked_fd(::open(path.c_str(), flags | O_DIRECTORY), step.c_str());
  scratch.lock_path = lock_path_of(path);
  UniqueFd lock{::open(scratch.lock_path.c_str(), flags)};
  if (!lock) {
    scratch.lock_path.clear();
    lock = UniqueFd{::fcntl(scratch.directory.get(), F_DUPFD_CLOEXEC, 3)};
  }
  scratch.lock = move_above_stdio(std::move(lock));
  ::flock(scratch.lock.get(), LOCK_SH | LOCK_NB);
  return scratch;
}

/// The pipes to a far guardian, for one start.
struct LinkPipes {
  UniqueFd orders_out, orders_in, news_out, news_in, errors;

  /// Makes them, and puts their ends in place of the request's streams. Throws `SpawnFailure` for
  /// an opening that no pipe can hold, else `std::system_error`.
  [[nodiscard]] LinkEnds connect(LaunchRequest& request) {
    const auto make = [](UniqueFd& out, UniqueFd& in) {
      int ends[2];
      if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("pipe2");
      UniqueFd first{ends[0]}, second{ends[1]};
      out = move_above_stdio(std::move(first));
      in = move_above_stdio(std::move(second));
    };
    make(orders_out, orders_in);
    make(news_out, news_in);
    const auto& opening = request.far->opening;
    if (opening.size() > 60'000)
      ::fcntl(orders_in.get(), F_SETPIPE_SZ, static_cast<int>(opening.size() + 8192));
    ::fcntl(orders_in.get(), F_SETFL, O_NONBLOCK);
    if (::write(orders_in.get(), opening.data(), opening.size()) !=
        static_cast<ssize_t>(opening.size()))
      throw SpawnFailure{"cannot run " + request.far->program + " on " + request.far->place,
                         std::make_error_code(std::errc::argument_list_too_long)};
    if (request.err < 0)
      errors = checked_fd(::fcntl(2, F_DUPFD_CLOEXEC, 3), "fcntl F_DUPFD_CLOEXEC");
    const LinkEnds ends{.orders = orders_in.get(),
                        .news = news_out.get(),
                        .input = request.in,
                        .errors = errors ? errors.get() : request.err};
    request.in = orders_out.get();
    request.err = news_in.get();
    return ends;
  }
};

}  // namespace detail

MIRAKURU_DECL GuardedProcess::GuardedProcess(GuardedProcess&&) noexcept = default;
MIRAKURU_DECL GuardedProcess& GuardedProcess::operator=(GuardedProcess&&) noexcept = default;
MIRAKURU_DECL GuardedProcess::~GuardedProcess() = default;

/// Takes one message from the channel, if there is one. False when no more will come.
MIRAKURU_DECL bool GuardedProcess::receive(bool& more) {
  detail::Report reports[detail::Report::most_in_message];
  const auto size = ::recv(channel_.get(), reports, sizeof reports, MSG_DONTWAIT);
  // ECONNRESET: the guardian has ended without reading all. Its own messages come with the next
  // call.
  more = size > 0 || (size < 0 && (errno == EINTR || errno == ECONNRESET));
  if (size == 0) trouble_ = "its guardian has ended";
  if (size <= 0) return size < 0;
  const auto count = static_cast<std::size_t>(size) / sizeof(detail::Report);
  for (std::size_t i = 0; i < count; ++i) take(reports[i]);
  return !reports[0].last;
}

MIRAKURU_DECL void GuardedProcess::add_straggler(pid_t pid, const std::string& command) {
  if (std::ranges::find(stragglers_, pid, &Straggler::pid) == stragglers_.end())
    stragglers_.push_back({pid, detail::one_line(detail::without_half_end(command))});
}

MIRAKURU_DECL void GuardedProcess::take(const detail::Report& report) {
  using Kind = detail::Report::Kind;
  if (report.kind == Kind::spawned) leader_ = report.pid;
  if (report.kind == Kind::spawned && report.value != guardian_) {
    // The guardian's children are in another pid namespace, so the owner sees another id.
    const auto children = "task/" + std::to_string(guardian_) + "/children";
    leader_ = std::atoi(detail::read_proc(guardian_, children.c_str()).c_str());
    if (leader_ == 0) detail::throw_error(ESRCH, "the command's id in this namespace");
  }
  if (report.kind == Kind::ended) exit_code_ = report.value;
  if (far_) take_far(report);
  if (report.kind == Kind::paused) paused_ = report.value;
  if (report.kind == Kind::straggler) add_straggler(report.pid, report.text);
  if (report.kind == Kind::refused) refuse(report.pid, report.text);
  if (report.kind == Kind::failed) {
    if (std::strcmp(report.text, detail::exec_call) == 0)
      throw detail::exec_failure(program_, report.value);
    if (std::strcmp(report.text, "chdir") == 0)
      throw SpawnFailure{place_, {report.value, std::generic_category()}};
    detail::throw_error(report.value, report.text);
  }
}

/// Throws `SpawnFailure` for a command that is not executed there.
MIRAKURU_DECL void GuardedProcess::take_far(const detail::Report& report) {
  using Kind = detail::Report::Kind;
  const std::string text = report.text;
  if (report.kind == Kind::up) {
    far_->executed = true;
    far_->pid = report.pid;
    if (far_->host.empty()) far_->host = text;
  }
  if (report.kind == Kind::far_failed)
    throw SpawnFailure{text == "chdir"
                           ? place_
                           : "cannot run " + far_->command.program + " on " + far_->command.place,
                       {report.value, std::generic_category()}};
  if (report.kind != Kind::unlinked) return;
  if (far_->executed)
    trouble_ = "the connection to " + far_->command.place + " has ended" +
               (text.empty() ? "" : ": " + detail::one_line(text));
  else if (!signalled_)
    throw SpawnFailure{"cannot run " + far_->command.program + " on " + far_->command.place,
                       std::make_error_code(std::errc::not_connected),
                       text.empty() ? detail::exit_headline(report.value) : detail::one_line(text)};
}

MIRAKURU_DECL void GuardedProcess::refuse(pid_t pid, const std::string& command) {
  refused_ = true;
  trouble_ = "pid " + std::to_string(pid) + " (" +
             detail::one_line(detail::without_half_end(command)) +
             ") belongs to another user, and may not be signalled";
}

/// Waits for the guardian's own end, which is near.
MIRAKURU_DECL void GuardedProcess::reap_guardian() {
  using namespace std::chrono_literals;
  const auto begin = detail::Clock::now();
  // Without a pidfd: the kernel closes its end of the channel right before.
  const auto pidfd = detail::open_pidfd(guardian_);
  pollfd end{.fd = pidfd ? pidfd.get() : channel_.get(),
             .events = static_cast<short>(pidfd ? POLLIN : 0),
             .revents = 0};
  // __WALL: a host's wait() does not find this child. ECHILD: a host's wait() with __WALL does.
  constexpr int options = WEXITED | __WALL;
  siginfo_t info{};
  bool ends = false;  // then it blocks: a tracer may come first
  for (int limit = 1; info.si_pid == 0; limit = pidfd ? 20 : 1) {
    if (::waitid(P_PID, static_cast<id_t>(guardian_), &info, ends ? options : options | WNOHANG) !=
            0 &&
        errno != EINTR)
      break;
    if (info.si_pid != 0 || (ends = ::poll(&end, 1, limit) > 0)) continue;
    // It may be stopped, by anybody and at any time.
    ::kill(guardian_, detail::Clock::now() - begin < 1s ? SIGCONT : SIGKILL);
  }
  if (info.si_pid != 0 && info.si_code != CLD_EXITED)
    trouble_ = "its guardian was " + detail::exit_headline(-info.si_status);
  guardian_ = 0;
  channel_.reset();  // kill_rest() may need a descriptor
  leader_fd_.reset();
}

/// Kills the tree of a guardian that was killed. True while anything of it lives.
MIRAKURU_DECL bool GuardedProcess::kill_rest() {
  if (!cgroup_.empty()) {
    const detail::UniqueFd all{::open((cgroup_ + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC)};
    if (all && ::write(all.get(), "1", 1) < 0) return true;
  }
  const auto state = rest_.kill(first_id_, [this](pid_t pid, bool refused) {
    if (refused) return refuse(pid, detail::command_line(pid));
    if (pid != leader_) add_straggler(pid, detail::command_line(pid));
  });
  if (state == detail::TreeRest::State::unknown) {
    trouble_ += "; without a /proc of its own it cannot tell if anything is left";
    return false;
  }
  if (!exit_code_ && !detail::process_lives(leader_))
    exit_code_ = -SIGKILL;  // along with the guardian
  if (state == detail::TreeRest::State::lives) return true;
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
      if (signalled_) ::kill(guardian_, SIGCONT);  // it may be stopped, at any time
      if (unsent_ != 0) send();
      return true;
    }
    reap_guardian();
  }
  if (trouble_.empty()) return false;
  // A start that comes next would take the dying tree for a service that runs.
  bool lives = false;
  (void)detail::still_after_a_second([&] { return (lives = kill_rest()) && !refused_; });
  return lives;
}

MIRAKURU_DECL void GuardedProcess::signal(int signal) noexcept {
  if (guardian_ == 0 || ::getpid() != owner_) return;
  // The owner signals the group itself if it may, which saves the time to wake the guardian. The id
  // is still the leader's: the guardian reports the end right after it has reaped the leader.
  const bool sent = !exit_code_ && !far_ && ::kill(-leader_, signal) == 0;
  unsent_ = static_cast<unsigned char>(signal | (sent ? detail::group_has_it : 0));
  signalled_ = true;
  send();
}

MIRAKURU_DECL void GuardedProcess::signal_leader(int signal) noexcept {
  if (guardian_ == 0 || ::getpid() != owner_ || exit_code_) return;
  if (!far_) return void(::kill(leader_, signal));
  const unsigned char order[] = {detail::to_leader, static_cast<unsigned char>(signal)};
  (void)::send(channel_.get(), order, sizeof order, MSG_NOSIGNAL | MSG_DONTWAIT);
}

MIRAKURU_DECL bool GuardedProcess::pause() noexcept {
  paused_.reset();
  if (guardian_ == 0 || ::getpid() != owner_) return false;
  unsent_ = detail::pause_tree;
  send();
  const auto deadline = detail::Clock::now() + std::chrono::seconds{5};
  while (!paused_ && guardian_ != 0 && detail::Clock::now() < deadline) {
    pollfd event{.fd = channel_.get(), .events = POLLIN, .revents = 0};
    ::poll(&event, 1, 100);
    try {
      if (!alive()) return false;
    } catch (...) {
      return false;
    }
  }
  return paused_ == 1;
}

MIRAKURU_DECL void GuardedProcess::resume() noexcept {
  if (guardian_ == 0 || ::getpid() != owner_) return;
  unsent_ = detail::resume_tree;
  send();
}

/// Sends the last signal to the guardian, now or with the next alive().
MIRAKURU_DECL void GuardedProcess::send() noexcept {
  if (::send(channel_.get(), &unsent_, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 || errno == EPIPE)
    unsent_ = 0;
}

/// The guardian reports when the command is executed, which may take long on a remote disk.
MIRAKURU_DECL void GuardedProcess::await_leader(const LaunchRequest& request) {
  using namespace std::chrono_literals;
  const auto begin = detail::Clock::now();
  const auto deadline = detail::after(begin, detail::time_to_execute(request));
  detail::Patience patience{begin};
  while (leader_ == 0) {
    pollfd event{.fd = channel_.get(), .events = POLLIN, .revents = 0};
    bool more;
    const auto left = (deadline - detail::Clock::now()) / 1ms;
    const bool told = ::poll(&event, 1, static_cast<int>(std::clamp<long>(left, 0, 250))) > 0;
    if (!told && left <= 0) {
      ::kill(guardian_, SIGKILL);
      throw SpawnFailure{"cannot run " + program_, std::make_error_code(std::errc::timed_out),
                         "it is not being executed yet"};
    }
    // A child that the host has just forked may hold the channel open.
    if ((told ? !receive(more) : guardian_has_ended()) && leader_ == 0)
      detail::throw_error(EPIPE, "the guardian");
    if (told) continue;
    ::kill(guardian_, SIGCONT);  // it may be stopped
    if (const auto now = detail::Clock::now(); patience.over(now)) request.still_waits(now - begin);
  }
}

MIRAKURU_DECL GuardedProcess GuardedProcess::make(const LaunchRequest& asked, LocalExec exec,
                                                  detail::Cgroup group) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    detail::throw_errno("socketpair");
  GuardedProcess process;
  detail::UniqueFd ours{ends[0]}, theirs{ends[1]};
  process.channel_ = detail::move_above_stdio(std::move(ours));
  theirs = detail::move_above_stdio(std::move(theirs));
  const auto mark = detail::RlimitTag::make();
  process.rest_ = {mark.soft, asked.id};
  process.owner_ = ::getpid();
  const auto scratch = detail::open_scratch(asked.scratch);
  std::optional<LaunchRequest> linked;
  detail::LinkPipes pipes;
  detail::LinkEnds link;
  if (asked.far) {
    link = pipes.connect(linked.emplace(asked));
    process.far_ = FarState{.command = *asked.far, .host = asked.far->host};
  }
  const auto& request = linked ? *linked : asked;
  process.guardian_ =
      detail::fork_guardian(request, exec, group, theirs.get(), mark, scratch, link);
  process.first_id_ = process.guardian_;
  theirs.reset();
  process.program_ = std::move(exec.program);
  process.place_ =
      asked.far ? "cannot run in the directory " + asked.far->directory + " on " + asked.far->place
                : detail::place_step(request);
  process.cgroup_ = std::move(group.path);
  try {
    process.await_leader(request);
  } catch (...) {
    process.reap_guardian();
    if (!process.trouble_.empty())
      (void)detail::still_after_a_second([&process] { return process.kill_rest(); });
    throw;
  }
  if (auto leader = detail::open_pidfd(process.leader_))
    process.leader_fd_ = detail::move_above_stdio(std::move(leader));
  return process;
}

}  // namespace mirakuru
