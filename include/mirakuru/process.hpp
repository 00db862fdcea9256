// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <mirakuru/os/clock.hpp>
#include <mirakuru/output/streams.hpp>

namespace mirakuru {

struct FarState;
struct LaunchRequest;

/// The answer of a check: ready, perhaps with a note, or not yet and why. A plain `bool` is an
/// answer without a reason.
class Readiness {
 public:
  Readiness() = default;
  Readiness(std::same_as<bool> auto ready) noexcept : ready_{ready} {}

  explicit operator bool() const noexcept { return ready_; }
  /// Why not yet; or the note of one that is ready.
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

 private:
  friend Readiness not_ready(std::string reason);
  friend Readiness ready_but(std::string note);

  bool ready_ = false;
  std::string reason_;
};

/// Not ready yet, because of `reason`: "HTTP 503". The last one stands in `TimeoutExpired`.
[[nodiscard]] inline Readiness not_ready(std::string reason) {
  Readiness result;
  result.reason_ = std::move(reason);
  return result;
}

/// Ready, with a thing to know: "its listener may be another's". It stands in the timeline, and in
/// the report that the check has passed.
[[nodiscard]] inline Readiness ready_but(std::string note) {
  Readiness result{true};
  result.reason_ = std::move(note);
  return result;
}

namespace detail {
class AsioLoop;
class FileChanges;
class ResolvedCommand;

/// The things that the probes of a start share; null for those that are missing.
struct ProbeContext {
  TimePoint since = TimePoint::max();  ///< when the wait began
  FileChanges* changes = nullptr;
  AsioLoop* loop = nullptr;            ///< where coroutines run
  pid_t guardian = 0;                  ///< the process above the tree
  const OutputStreams* run = nullptr;  ///< all output of the run, if the check sees a part of it
  const ResolvedCommand* command = nullptr;
  std::uint16_t* port = nullptr;  ///< gets the TCP port that a check has connected to or found
  bool from_now_on = false;       ///< in a `wait_for()`: earlier news do not count
  const FarState* far = nullptr;  ///< of a command on another machine
  int event = -1;                 ///< readable when there is news of the process; -1: none
  /// Has a request run beside the service of an id, by its launcher; null for one that runs here.
  LaunchRequest (*beside)(const void* launcher, const std::string& id, LaunchRequest) = nullptr;
  const void* launcher = nullptr;
};
}  // namespace detail

/// The process that a check is asked about.
class Process {
 public:
  Process(pid_t pid, const OutputStreams& streams, bool running = true,
          detail::ProbeContext context = {}) noexcept
      : pid_{pid}, streams_{&streams}, running_{running}, context_{context} {}

  /// The id of the command's own process, the leader of its session.
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// False once the whole tree has ended, or the leader has ended with an error. A check with
  /// `valid_after_exit` is asked once more then.
  [[nodiscard]] bool running() const noexcept { return running_; }
  /// The exit code of the leader, or minus the signal that ended it, once running() is false.
  [[nodiscard]] std::optional<int> exit_code() const noexcept { return exit_code_; }
  /// All output so far, where the output policy keeps it; empty otherwise.
  [[nodiscard]] std::string output() const { return streams_->out().text(); }
  /// The same of standard error.
  [[nodiscard]] std::string err_output() const { return streams_->err().text(); }
  /// The files behind the output.
  [[nodiscard]] const OutputStreams& streams() const noexcept { return *streams_; }
  /// How long the start has waited at `now`; zero before the spawn.
  [[nodiscard]] std::chrono::nanoseconds waited(TimePoint now) const noexcept {
    return now > context_.since ? now - context_.since : TimePoint::duration::zero();
  }

  /// For probes.
  [[nodiscard]] const detail::ProbeContext& context() const noexcept { return context_; }
  /// For the start: the process has ended.
  void set_ended(std::optional<int> exit_code = {}) noexcept {
    running_ = false;
    exit_code_ = exit_code;
  }

 private:
  pid_t pid_;
  const OutputStreams* streams_;
  bool running_;
  std::optional<int> exit_code_ = {};
  detail::ProbeContext context_;
};

}  // namespace mirakuru
