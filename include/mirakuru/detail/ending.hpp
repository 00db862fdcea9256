// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include <mirakuru/detail/race.hpp>
#include <mirakuru/detail/service.hpp>
#include <mirakuru/detail/signal_schedule.hpp>

namespace mirakuru::detail {

/// Whether it matters how the leader ended.
enum class Judgement { report, ignore };

/// The state machine of `stop()` and `kill()`: sends what is due until nothing of the tree lives.
template <class Set>
class Ending {
 public:
  Ending(Service<Set>& service, std::span<const SignalStep> steps, Judgement judgement)
      : service_{service},
        judgement_{judgement},
        begin_{Clock::now()},
        schedule_{steps, service.budget.stop, begin_} {
    for (const auto& step : steps) signals_.push_back(step.signal);
  }

  /// Goes on as far as it can without waiting. True when it is over; else `race` has what to wait
  /// for. Throws `ProcessFinishedWithError` if that is to be reported, and `ExecutorError` when not
  /// even SIGKILL has ended the tree.
  bool resume(Race& race) {
    if (!service_.process) return true;
    if (!service_.alive()) return finish(race);
    const auto now = Clock::now();
    if (schedule_.over(now))
      throw ExecutorError{service_.circumstances().tell("something of it outlives SIGKILL")};
    while (const int signal = schedule_.due(now)) {
      if (!service_.exit_code) signals_.push_back(signal);
      service_.process->signal(signal);
    }
    race.watch(service_.process->event());
    race.until(service_.process->event() >= 0
                   ? schedule_.next()
                   : std::min(schedule_.next(), after(now, pause_after(now - begin_))));
    return false;
  }

  /// Goes over to SIGKILL, from the next `resume()` on.
  void hurry() { schedule_.hurry(Clock::now()); }

 private:
  bool finish(Race& race) {
    race.forget();
    service_.clear();
    const int code = service_.exit_code.value_or(0);
    if (judgement_ == Judgement::ignore || (accepts(code) && service_.trouble.empty())) return true;
    service_.circumstances().throw_finished(code, accepts(code));
  }

  [[nodiscard]] bool accepts(int code) const {
    const auto& accepted = service_.signals.accept;
    return code == 0 || std::count(std::begin(accepted), std::end(accepted), code) > 0 ||
           std::any_of(signals_.begin(), signals_.end(),
                       [code](int signal) { return code == -signal || code == 128 + signal; });
  }

  Service<Set>& service_;
  Judgement judgement_;
  Clock::time_point begin_;
  SignalSchedule schedule_;
  std::vector<int> signals_;  // those of the steps, and what the leader was sent besides
};

}  // namespace mirakuru::detail
