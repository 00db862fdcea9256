// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/engine/stop.hpp>
#include <mirakuru/error.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL StopBase::StopBase(ServiceBase& service, TimePoint begin, const StopPlan& plan,
                                 std::chrono::nanoseconds budget, ExitPolicy policy,
                                 const std::vector<int>& accept,
                                 const std::vector<int>& accept_besides)
    : base_{service},
      begin_{begin},
      schedule_{plan.steps, budget, begin, plan.head_start},
      policy_{policy},
      accept_{accept} {
  accept_.insert(accept_.end(), accept_besides.begin(), accept_besides.end());
  for (const auto& step : plan.steps) signals_.push_back(step.signal);
}

MIRAKURU_DECL void StopBase::begin_signals(TimePoint now, std::string note) {
  schedule_.begin_now(now);
  base_.stop_note = std::move(note);
}

MIRAKURU_DECL void StopBase::throw_resists(TimePoint now) const {
  throw ExecutorError{
      base_.error_context(now).message("it has ended, but the command that stops it may not be")};
}

MIRAKURU_DECL TimedSignal StopBase::signal_due(TimePoint now) {
  if (base_.refused) schedule_.shorten_grace();
  if (schedule_.over(now)) {
    const auto headline =
        base_.refused ? "a process may not be ended" : "a process survived SIGKILL for 10 s";
    throw ExecutorError{base_.error_context(now).message(headline)};
  }
  const auto due = schedule_.due(now);
  if (due.signal != 0 && !base_.exit_code) signals_.push_back(due.signal);
  if (due.signal != 0 && signals_sent_++ == 0) leader_had_ended_ = base_.exit_code.has_value();
  return due;
}

MIRAKURU_DECL void StopBase::wait(TimePoint now, int event, WaitSet& waits) {
  base_.changes.drop_unused();
  const std::chrono::nanoseconds waited = now - begin_;
  waits.add(event);
  waits.until(std::min(schedule_.next(),
                       after(now, event >= 0 ? pause_for_event(waited) : pause_after(waited))));
}

MIRAKURU_DECL bool StopBase::ended_badly() const {
  return !is_accepted(base_.exit_code.value_or(0), accept_, signals_) || base_.has_trouble();
}

MIRAKURU_DECL void StopBase::check_exit(TimePoint now) {
  if (policy_ != ExitPolicy::check || !ended_badly()) return;
  const int code = base_.exit_code.value_or(0);
  base_.told = true;
  base_.error_context(now).throw_finished(code, is_accepted(code, accept_, signals_));
}

}  // namespace mirakuru::detail
