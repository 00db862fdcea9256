// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>

#include <mirakuru/engine/stop.hpp>
#include <mirakuru/error.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL StopState::StopState(ServiceBase& service, std::span<const SignalStep> steps,
                                   std::chrono::nanoseconds budget, ExitPolicy judgement)
    : base_{service},
      judgement_{judgement},
      begin_{Clock::now()},
      schedule_{steps, budget, begin_} {
  for (const auto& step : steps) signals_.push_back(step.signal);
}

MIRAKURU_DECL int StopState::due() {
  const auto now = Clock::now();
  if (schedule_.over(now))
    throw ExecutorError{base_.error_context().message("something of it outlives SIGKILL")};
  const int signal = schedule_.due(now);
  if (signal != 0 && !base_.exit_code) signals_.push_back(signal);
  return signal;
}

MIRAKURU_DECL void StopState::wait_for(Race& race, int event) const {
  base_.spent.unfollow();
  const auto now = Clock::now();
  const std::chrono::nanoseconds waited = now - begin_;
  race.watch(event);
  race.until(std::min(schedule_.next(),
                      after(now, event >= 0 ? pause_for_event(waited) : pause_after(waited))));
}

MIRAKURU_DECL void StopState::judge(const std::vector<int>& accepted) const {
  const int code = base_.exit_code.value_or(0);
  const bool good = code == 0 || std::count(accepted.begin(), accepted.end(), code) > 0 ||
                    std::any_of(signals_.begin(), signals_.end(), [code](int signal) {
                      return code == -signal || code == 128 + signal;
                    });
  if (judgement_ == ExitPolicy::check && (!good || !base_.trouble.empty()))
    base_.error_context().throw_finished(code, good);
}

}  // namespace mirakuru::detail
