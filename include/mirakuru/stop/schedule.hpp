// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <span>
#include <vector>

#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/stop/signals.hpp>

namespace mirakuru::detail {

/// A signal and when it is due.
struct TimedSignal {
  Clock::time_point at;
  int signal;
};

/// When which signal is due: the steps one after another within the budget, then SIGKILL. Knows
/// neither a process nor a clock.
class SignalSchedule {
 public:
  /// How long SIGKILL is given before the tree counts as one that cannot be ended.
  static constexpr std::chrono::nanoseconds grace = std::chrono::seconds{10};

  SignalSchedule(std::span<const SignalStep> steps, std::chrono::nanoseconds budget,
                 Clock::time_point begin);

  /// The signal to send now; 0 for none. Each comes once.
  [[nodiscard]] int due(Clock::time_point now);
  /// Leaves out all that is not due yet but SIGKILL, which is due now.
  void hurry(Clock::time_point now);
  /// When to ask again.
  [[nodiscard]] Clock::time_point next() const noexcept;
  /// True when SIGKILL has had its time, in vain.
  [[nodiscard]] bool over(Clock::time_point now) const noexcept;
  /// All of them, in order.
  [[nodiscard]] const std::vector<TimedSignal>& entries() const noexcept { return entries_; }

 private:
  std::vector<TimedSignal> entries_;
  std::size_t sent_ = 0;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/stop/schedule.ipp>
#endif
