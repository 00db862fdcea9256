// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <csignal>
#include <cstddef>
#include <ctime>
#include <exception>
#include <iterator>
#include <string_view>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/command.hpp>
#include <mirakuru/concepts.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/executor.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/os/uuid.hpp>
#include <mirakuru/output/capture.hpp>
#include <mirakuru/spawn/launch.hpp>

// The laws of each concept, beyond the right members. Each function tries a policy and returns the
// laws that it breaks, as sentences; an empty list if it keeps all. So it fits any test framework:
//
//     CHECK(mirakuru::laws::check_spawner(MySpawner{}) == std::vector<std::string>{});

namespace mirakuru::laws {

/// The laws that a policy breaks, in words.
using Broken = std::vector<std::string>;

namespace detail {

using namespace mirakuru::detail;

/// Asks until the predicate is true: when the event is readable, or each millisecond if it is -1.
/// False if that takes longer than `patience`.
template <class Predicate, class Event = int (*)()>
bool until(
    std::chrono::nanoseconds patience, Predicate predicate, Event event = [] { return -1; }) {
  const auto begin = Clock::now();
  while (!predicate()) {
    pollfd ready{.fd = event(), .events = POLLIN, .revents = 0};
    const auto pause = ready.fd < 0 ? std::chrono::nanoseconds{1'000'000} : patience;
    const timespec limit{.tv_sec = pause / std::chrono::seconds{1},
                         .tv_nsec = (pause % std::chrono::seconds{1}).count()};
    ::ppoll(&ready, 1, &limit, nullptr);
    if (Clock::now() - begin > patience) return false;
  }
  return true;
}

/// Waits until the tree is gone. False if that takes longer than `patience`.
template <ProcessHandle Handle>
bool gone(Handle& handle, std::chrono::nanoseconds patience) {
  return until(patience, [&] { return !handle.alive(); });
}

/// True if nobody has to reap this process any more.
inline bool reaped(pid_t pid) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0;
}

/// The number of open descriptors of this process.
inline std::ptrdiff_t open_descriptors() {
  std::ptrdiff_t count = 0;
  if (DIR* const directory = ::opendir("/proc/self/fd")) {
    while (::readdir(directory) != nullptr) ++count;
    ::closedir(directory);
  }
  return count;
}

/// The ids that a command has printed, one a line.
inline std::vector<pid_t> pids_in(const std::string& text) {
  std::vector<pid_t> pids;
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    pids.push_back(std::atoi(text.c_str() + at));
  return pids;
}

/// True if none of the processes lives after `patience`. Kills those that do.
inline bool all_gone(const std::vector<pid_t>& pids, std::chrono::nanoseconds patience) {
  bool gone = true;
  for (const pid_t pid : pids) {
    if (pid > 0 && until(patience, [pid] { return !process_stat(pid).lives(); })) continue;
    gone = false;
    if (pid > 0) ::kill(pid, SIGKILL);
  }
  return gone;
}

/// A request that captures the output of the command.
struct Run {
  explicit Run(std::vector<std::string> words)
      : request{.words = std::move(words),
                .cwd = "/",
                .env = {{"MIRAKURU_LAW", "kept"}},
                .id = make_uuid(),
                .in = input.reading.get(),
                .out = streams.out().fd(),
                .err = streams.err().fd()} {}
  explicit Run(const std::string& line) : Run{{"/bin/sh", "-c", line}} {}

  OutputStreams streams = detail::open_streams(Capture{});
  Pipe input = make_pipe();
  LaunchRequest request;
};

}  // namespace detail

/// Checks a spawner: it starts the command as the request says, tells its end exactly, ends its
/// processes, and keeps nothing open. `patience` is the time limit of each step. Returns the broken
/// laws. Throws the spawner's own exceptions.
template <Spawner T>
Broken check_spawner(const T& spawner,
                     std::chrono::nanoseconds patience = std::chrono::seconds{10}) {
  Broken broken;
  const auto require = [&broken](bool holds, const char* law) {
    if (!holds) broken.emplace_back(law);
  };
  {
    detail::Run run{"read -r line; pwd; echo $MIRAKURU_LAW; echo $line; echo err >&2; exit 7"};
    require(::write(run.input.writing.get(), "given\n", 6) == 6, "a pipe takes a line");
    auto handle = spawner.spawn(run.request);
    require(handle.pid() > 0, "pid() is the process's id");
    require(detail::gone(handle, patience), "alive() is false once all processes have ended");
    require(handle.exit_code() == 7, "exit_code() is the exit status");
    require(!handle.alive(), "alive() stays false");
    require(detail::until(patience, [&] { return detail::reaped(handle.pid()); }),
            "alive() reaps the process");
    const auto printed = run.streams.out().text();
    require(printed.starts_with("/\nkept\n"),
            "the command runs in its directory, with its environment, and prints to `out`");
    require(printed.ends_with("\ngiven\n"), "the command reads from `in`");
    require(run.streams.err().text() == "err\n", "standard error goes to `err`");
    handle.signal(SIGKILL);  // nothing happens
  }
  {
    detail::Run run{"exec sleep 300"};
    auto handle = spawner.spawn(run.request);
    require(handle.alive(), "alive() is true while it runs");
    require(!handle.exit_code(), "exit_code() is empty while it runs");
    require(handle.pid() != ::getpgrp() && ::getpgid(handle.pid()) != ::getpgrp(),
            "the command is not in the caller's process group");
    handle.signal(SIGTERM);
    require(detail::gone(handle, patience), "signal() reaches the process");
    require(handle.exit_code() == -SIGTERM, "exit_code() is minus the signal that ended it");
  }
  {
    detail::Run run{"sleep 0.3"};
    auto handle = spawner.spawn(run.request);
    require(detail::until(
                patience, [&] { return !handle.alive(); }, [&] { return handle.event(); }),
            "event() turns readable at the end, or is -1");
  }
  {
    detail::Run run{"sleep 300 & echo $!; sleep 300 & echo $!; wait"};
    auto handle = spawner.spawn(run.request);
    const auto children = [&run] { return detail::pids_in(run.streams.out().text()); };
    const bool up = detail::until(patience, [&] { return children().size() == 2; });
    handle.signal(SIGTERM);
    const bool ended = detail::gone(handle, patience);
    require(detail::all_gone(children(), patience) && ended && up,
            "signal() reaches the processes that the command has started");
  }
  if constexpr (requires { requires T::guarantee == Guarantee::tree_ends_with_owner; }) {
    detail::Run run{"setsid sleep 300 & echo $!"};
    auto handle = spawner.spawn(run.request);
    bool lived = true;
    const bool ended = detail::until(patience, [&] {
      lived = lived && handle.alive();
      return handle.exit_code().has_value();
    });
    require(ended && lived, "alive() is true while any process of the tree lives");
    handle.signal(SIGTERM);
    require(detail::gone(handle, patience),
            "signal() reaches a process that has left the process group");
    const auto left = detail::pids_in(run.streams.out().text());
    require(left.size() == 1 && detail::all_gone(left, {}),
            "alive() is false when no process of the tree lives");
  }
  {
    detail::Run run{std::vector<std::string>{"/no/such/program"}};
    int error = 0;
    try {
      auto handle = spawner.spawn(run.request);
      detail::gone(handle, patience);
    } catch (const std::system_error& thrown) {
      error = thrown.code().value();
    }
    require(error == ENOENT, "a program that is not there is a std::system_error with ENOENT");
  }
  {
    constexpr std::ptrdiff_t runs = 8;  // other threads may open some meanwhile
    const auto before = detail::open_descriptors();
    for (std::ptrdiff_t i = 0; i < runs; ++i) {
      detail::Run run{"true"};
      auto handle = spawner.spawn(run.request);
      detail::gone(handle, patience);
    }
    require(detail::open_descriptors() - before < runs, "no descriptor is left open after a run");
  }
  return broken;
}

/// Checks a budget: its times are not negative. Returns the broken laws.
template <Budget T>
Broken check_budget(const T& budget) {
  Broken broken;
  if (std::chrono::nanoseconds{budget.start} < std::chrono::nanoseconds::zero())
    broken.emplace_back("the start budget is not negative");
  if (std::chrono::nanoseconds{budget.stop} < std::chrono::nanoseconds::zero())
    broken.emplace_back("the stop budget is not negative");
  return broken;
}

/// Checks a signal strategy: it has steps, and each has a valid signal and time. Returns the broken
/// laws.
template <SignalStrategy T>
Broken check_signals(const T& signals) {
  Broken broken;
  const auto& steps = signals.steps();
  if (std::span<const SignalStep>{steps}.empty()) broken.emplace_back("there is a first step");
  for (const SignalStep& step : steps) {
    if (step.signal < 1 || step.signal > SIGRTMAX) broken.emplace_back("every step has a signal");
    if (step.wait < std::chrono::nanoseconds::zero())
      broken.emplace_back("no step has a negative time");
  }
  if (const int kill = signals.kill; kill < 1 || kill > SIGRTMAX)
    broken.emplace_back("`kill` is a signal");
  return broken;
}

/// Checks an input: each run has a descriptor to read from, which is close-on-exec. A writable one
/// passes on all that is written, and then ends. Returns the broken laws.
template <Input T>
Broken check_input(const T& input) {
  Broken broken;
  const auto require = [&broken](bool holds, const char* law) {
    if (!holds) broken.emplace_back(law);
  };
  for (int run = 0; run < 2; ++run) {
    InputStream stream;
    try {
      stream = input.open();
    } catch (const std::exception& error) {
      return {std::string{"open() makes the stream: "} + error.what()};
    }
    const int reading = stream.reading.get(), writing = stream.writing.get();
    require(reading > 2, "the descriptor is not a standard stream's");
    require((::fcntl(reading, F_GETFD) & FD_CLOEXEC) != 0, "the descriptor is close-on-exec");
    require((::fcntl(reading, F_GETFL) & O_NONBLOCK) == 0, "the command waits for its input");
    require((writing >= 0) == T::writable, "it is writable as it says");
    if (writing < 0) continue;
    require((::fcntl(writing, F_GETFD) & FD_CLOEXEC) != 0, "the other end is close-on-exec");
    char text[8] = {};
    pollfd reader{.fd = writing, .events = POLLOUT, .revents = 0};
    const bool has_reader = ::poll(&reader, 1, 0) == 1 && (reader.revents & POLLERR) == 0;
    require(has_reader && ::write(writing, "given", 5) == 5 && ::read(reading, text, 8) == 5 &&
                std::string_view{text} == "given",
            "the command reads all that is written");
    stream.writing.reset();
    pollfd end{.fd = reading, .events = POLLIN, .revents = 0};
    require(::poll(&end, 1, 1000) == 1 && ::read(reading, text, 8) == 0,
            "the input ends when it is closed");
  }
  return broken;
}

/// Checks limits: each is a limit of the kernel, and its soft value is not above the hard one.
/// Returns the broken laws.
template <LimitsPolicy T>
Broken check_limits(const T& policy) {
  Broken broken;
  for (const ResourceLimit& limit : policy.limits()) {
    if (limit.resource < 0 || limit.resource >= static_cast<int>(RLIM_NLIMITS))
      broken.emplace_back("each is a limit of the kernel");
    if (limit.soft > limit.hard) broken.emplace_back("the soft value is not above the hard one");
  }
  return broken;
}

/// Checks an output: its streams can be opened and written to, and are close-on-exec. A kept stream
/// can be read, all of it, and without an earlier run. Streams of the caller's own are left out.
/// Returns the broken laws.
template <Output T>
Broken check_output(const T& output) {
  Broken broken;
  const auto require = [&broken](bool holds, const char* law) {
    if (!holds) broken.emplace_back(law);
  };
  for (int run = 0; run < 2; ++run) {
    OutputStreams streams;
    try {
      streams = detail::open_streams(output);
    } catch (const std::exception& error) {
      return {std::string{"open() makes the streams: "} + error.what()};
    }
    for (const auto& [fd, text] : {std::pair{streams.out().fd(), "out\n"},
                                   {streams.err().fd(), "err\n"},
                                   {streams.out().fd(), "out\n"}}) {
      if (fd < 0) continue;  // the caller's own
      require(fd > 2, "a descriptor is not a standard stream's");
      require((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, "a descriptor is close-on-exec");
      require(::write(fd, text, 4) == 4, "a stream can be written to");
    }
    const auto out = streams.out().text(), err = streams.err().text();
    if (T::keeps_output) {
      const bool apart = out == (streams.out().fd() < 0 ? "" : "out\nout\n") &&
                         err == (streams.err().fd() < 0 ? "" : "err\n");
      require(apart || (out == "out\nerr\nout\n" && err == out),
              "all kept output can be read, and of this run alone");
    } else {
      require(out.empty() && err.empty(), "output that is not kept is empty");
    }
  }
  return broken;
}

/// Checks a reporter: it takes an event of each kind without an exception, and returns within
/// `patience`, for it delays the executor. Returns the broken laws.
template <Reporter T>
Broken check_reporter(T reporter,
                      std::chrono::nanoseconds patience = std::chrono::milliseconds{100}) {
  constexpr std::chrono::seconds second{1};
  const std::string name = "a-law";
  const Event events[] = {StillWaiting{name, "GET /", "HTTP 503", second, 2 * second, "a line"},
                          EndedBadly{name, 1, true, "", "a line"},
                          HadToBeKilled{name, second},
                          LeftStragglers{name, {{.pid = 1, .command = name}}},
                          StopFailed{name, "a reason"},
                          Spawned{name, 1},
                          CheckPassed{name, "GET /", second, 1},
                          Stopped{name, 0, second}};
  static_assert(std::size(events) == std::variant_size_v<Event>);
  Broken broken;
  try {
    if constexpr (requires { static_cast<bool>(reporter.wants_steps()); })
      (void)static_cast<bool>(reporter.wants_steps());
    for (const Event& event : events) {
      const auto begin = detail::Clock::now();
      reporter(event);
      if (detail::Clock::now() - begin > patience)
        broken.push_back("it returns soon from event " + std::to_string(event.index()));
    }
  } catch (...) {
    broken.emplace_back("it throws nothing");
  }
  return broken;
}

/// Checks a readiness check: with the command `ready` an executor starts, with `never` the check
/// gives up at the deadline. `patience` is how late that may be. A description is not empty.
/// Returns the broken laws.
template <ReadinessCheck T>
Broken check_check(const T& check, const Command& ready,
                   const Command& never = {.argv = "sleep 300"},
                   std::chrono::nanoseconds patience = std::chrono::seconds{5}) {
  using namespace std::chrono_literals;
  Broken broken;
  if constexpr (requires { check.describe(); })
    if (std::string{check.describe()}.empty()) broken.emplace_back("describe() is not empty");
  try {
    Executor executor{ready, check, TimeoutBudget{.start = 30s, .stop = 5s}};
    if (!executor.start().stop().stop().start().stop().exit_code())
      broken.emplace_back("a command that becomes ready starts, again and again");
  } catch (const ExecutorError& error) {
    broken.emplace_back(std::string{"a command that becomes ready starts: "} + error.what());
  }
  Executor executor{never, check, TimeoutBudget{.start = 100ms, .stop = 5s}};
  const auto begin = detail::Clock::now();
  try {
    executor.start();
    broken.emplace_back("it does not hold for a command that never becomes ready");
  } catch (const TimeoutExpired&) {
    if (detail::Clock::now() - begin > 100ms + patience)
      broken.emplace_back("it ends at the deadline");
  } catch (const ExecutorError& error) {
    broken.emplace_back(std::string{"it goes on until the deadline: "} + error.what());
  }
  return broken;
}

}  // namespace mirakuru::laws
