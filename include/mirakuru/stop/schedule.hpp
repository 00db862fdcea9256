// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <span>
#include <vector>

#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/stop/signals.hpp>

namespace mirakuru::detail {

/// A signal and the time when it is due.
struct TimedSignal {
  Clock::time_point at;
  int signal;
  Scope scope = Scope::tree;
};

/// Says which signal is due at which time: the steps in turn within the budget, then SIGKILL. Knows
/// neither a process nor a clock.
class SignalSchedule {
 public:
  /// The time after SIGKILL until the tree counts as impossible to end.
  static constexpr std::chrono::nanoseconds grace = std::chrono::seconds{10};

  /// Plans the steps from `begin` plus `head_start`. SIGKILL is due after the last step's wait, and
  /// at the latest at the end of the budget. A step that would be due at or after that end is left
  /// out.
  SignalSchedule(std::span<const SignalStep> steps, std::chrono::nanoseconds budget,
                 Clock::time_point begin, std::chrono::nanoseconds head_start = {});

  /// The signal to send now; its number is 0 for none. Returns each signal once.
  [[nodiscard]] TimedSignal due(Clock::time_point now);
  /// Ends the head start: the first signal is due now, and the others earlier by as much.
  void begin_now(Clock::time_point now);
  /// Drops all signals not yet sent, and makes SIGKILL due now.
  void hurry(Clock::time_point now);
  /// A process may not be signalled: the others have a tenth of a second after SIGKILL.
  void shorten_grace() noexcept { grace_ = std::chrono::milliseconds{100}; }
  /// The time to ask again.
  [[nodiscard]] Clock::time_point next() const noexcept;
  /// True if all signals were sent.
  [[nodiscard]] bool all_sent() const noexcept { return sent_ == entries_.size(); }
  /// True if SIGKILL was sent and its grace has passed.
  [[nodiscard]] bool over(Clock::time_point now) const noexcept;
  /// All signals in order.
  [[nodiscard]] const std::vector<TimedSignal>& entries() const noexcept { return entries_; }

 private:
  std::vector<TimedSignal> entries_;
  std::size_t sent_ = 0;
  std::chrono::nanoseconds grace_ = grace;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/stop/schedule.ipp>
#endif
