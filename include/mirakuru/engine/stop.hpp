// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <span>
#include <vector>

#include <mirakuru/engine/loop.hpp>
#include <mirakuru/engine/service.hpp>
#include <mirakuru/stop/schedule.hpp>

namespace mirakuru::detail {

/// Whether it matters how the leader ended.
enum class ExitPolicy { check, ignore };

/// The part of a stop that is the same whatever its policies are: which signal is due, and whether
/// the end is a good one.
class StopState {
 protected:
  StopState(ServiceBase& service, std::span<const SignalStep> steps,
            std::chrono::nanoseconds budget, ExitPolicy judgement);

  /// The signal to send now; 0 for none. Throws `ExecutorError` when not even SIGKILL has ended
  /// the tree.
  [[nodiscard]] int due();
  /// Says what to wait for; `event` is the process's descriptor, or -1.
  void wait_for(Race& race, int event) const;
  /// Throws `ProcessFinishedWithError` if how it has ended is to be reported.
  void judge(const std::vector<int>& accepted) const;
  void leave_out_all_but_kill() { schedule_.hurry(Clock::now()); }

 private:
  ServiceBase& base_;
  ExitPolicy judgement_;
  Clock::time_point begin_;
  SignalSchedule schedule_;
  std::vector<int> signals_;  // those of the steps, and what the leader was sent besides
};

/// The state machine of `stop()` and `kill()`: sends what is due until nothing of the tree lives.
template <class Set>
class Ending : StopState {
 public:
  Ending(Service<Set>& service, std::span<const SignalStep> steps, ExitPolicy judgement)
      : StopState{service, steps, service.budget.stop, judgement}, service_{service} {}

  /// Goes on as far as it can without waiting. True when it is over; else `race` has what to wait
  /// for. Throws `ProcessFinishedWithError` if that is to be reported, and `ExecutorError` when not
  /// even SIGKILL has ended the tree.
  bool resume(Race& race) {
    if (!service_.process) return true;
    if (!service_.alive()) {
      race.forget();
      service_.clear();
      judge(service_.signals.accept);
      return true;
    }
    while (const int signal = due()) service_.process->signal(signal);
    wait_for(race, service_.process->event());
    return false;
  }

  /// Goes over to SIGKILL, from the next `resume()` on.
  void hurry() { leave_out_all_but_kill(); }

 private:
  Service<Set>& service_;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/engine/stop.ipp>
#endif
