// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <chrono>
#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/spawn/launch.hpp>

// The things that an executor tells its reporter. Each has the command as one printable line.

namespace mirakuru {

/// A start, a `wait_for()` or a `wait()` takes long: after 5 s, then after twice as long each time.
struct StillWaiting {
  std::string command;
  std::string awaited;              ///< the check at hand
  std::string answer;               ///< its last answer; empty for none
  std::chrono::nanoseconds waited;  ///< so far
  std::chrono::nanoseconds limit;   ///< of how much; `max()` for no limit
  std::string last_line;            ///< the newest line of the output; empty for none
};

/// The process has ended in a way that `stop()` throws for, and no call has told so: it has ended
/// by itself, or badly in the destructor.
struct EndedBadly {
  std::string command;
  int exit_code;            ///< 0 to 255, or -N for an end by signal N
  bool by_itself;           ///< true: before a signal of `stop()`, `kill()` or the destructor
  std::string trouble;      ///< a failure of the guardian; empty for none
  std::string last_line;    ///< the newest line of the output; empty for none
  bool waited_for = false;  ///< true: a `wait()` has seen the end, and `exit_code()` was not called
  std::string report = {};  ///< the first line of a sanitizer's report; empty for none
};

/// SIGKILL had to end the tree: its signals were not enough, or the stop budget is over.
struct HadToBeKilled {
  std::string command;
  std::chrono::nanoseconds after;  ///< since the first signal
};

/// Processes that were still there when a signal had ended the leader, and needed one of their own.
struct LeftStragglers {
  std::string command;
  std::vector<Straggler> stragglers;
};

/// The destructor could not end the tree.
struct StopFailed {
  std::string command;
  std::string reason;
};

// The steps of a run, for a reporter that wants them.

/// The process has been made.
struct Spawned {
  std::string command;
  pid_t pid;
};

/// A check has passed.
struct CheckPassed {
  std::string command;
  std::string check;
  std::chrono::nanoseconds after;  ///< since the spawn
  std::size_t attempts;
  std::string note = {};  ///< of `ready_but()`; empty for none
};

/// No process of the tree is left after a stop.
struct Stopped {
  std::string command;
  int exit_code;                   ///< of the leader: 0 to 255, or -N for an end by signal N
  std::chrono::nanoseconds after;  ///< since the stop has begun
};

/// One of these.
using Event = std::variant<StillWaiting, EndedBadly, HadToBeKilled, LeftStragglers, StopFailed,
                           Spawned, CheckPassed, Stopped>;

/// True for an event that a user has to see; false for a step.
[[nodiscard]] constexpr bool is_news(const Event& event) noexcept { return event.index() < 5; }

/// An event as one line: "python3 srv.py: still waiting for ...". Control characters are escaped.
[[nodiscard]] std::string line_of(const Event& event);

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/report/event.ipp>
#endif
