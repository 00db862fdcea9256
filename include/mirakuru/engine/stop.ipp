// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <csignal>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/engine/loop.hpp>
#include <mirakuru/engine/stop.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/report/event.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL StopOperation::StopOperation(ServiceBase& service, TimePoint begin,
                                           const StopPlan& plan, ExitPolicy policy,
                                           const std::vector<int>& accept)
    : service_{service},
      begin_{begin},
      schedule_{plan.steps, service.terms().stop, begin, plan.head_start},
      policy_{policy},
      accept_{service.calls->accept(service)},
      way_is_due_{plan.by_strategy} {
  for (const int code : accept) accept_.push_back(code);
  for (const auto& step : plan.steps) signals_.push_back(step.signal);
}

MIRAKURU_DECL StopOperation::~StopOperation() = default;

MIRAKURU_DECL bool StopOperation::resume(TimePoint now, WaitSet& waits) {
  waits.clear();
  if (!service_.has_process()) return true;
  if (service_.leave()) {  // the rest of its tree is about to end
    service_.clear();
    if (service_.exit_code) end(now);
    return true;
  }
  if (!service_.alive()) {
    if (way_ && way_->lives()) return end_way(now, waits);
    service_.clear();
    end(now);
    return true;
  }
  if (std::exchange(service_.paused, false)) service_.resume();
  if (std::exchange(way_is_due_, false)) begin_way(now);
  if (way_ && way_->has_failed()) begin_signals(now, way_->failure());
  // The rest of a tree whose leader alone has had the signal.
  if (leaders_signal_ != 0 && service_.exit_code)
    service_.signal(std::exchange(leaders_signal_, 0), Scope::tree);
  for (auto due = signal_due(now); due.signal != 0; due = signal_due(now)) {
    send(due);
    if (due.signal == SIGKILL && signals_sent_ > 1 && schedule_.all_sent()) report_killed(now);
    if (!service_.has_process()) return true;  // the reporter must not stop it, but may do so
  }
  wait(now, waits);
  return false;
}

MIRAKURU_DECL void StopOperation::begin_way(TimePoint now) {
  if (service_.calls->stop_way != nullptr) try {
      way_ = service_.calls->stop_way(service_);
    } catch (const ExecutorError&) {  // a terminal that nobody reads: the signals follow
      begin_signals(now, "its terminal takes no end of the input");
    }
}

/// The service has ended, and its command has not.
[[gnu::cold]] MIRAKURU_DECL bool StopOperation::end_way(TimePoint now, WaitSet& waits) {
  if (way_->resists(now))
    throw_resists(now, "it has ended, but the command that stops it may not be");
  way_->wait(now, waits);
  return false;
}

/// The way before the signals has failed, for the reason `note`: they begin now.
[[gnu::cold]] MIRAKURU_DECL void StopOperation::begin_signals(TimePoint now, std::string note) {
  schedule_.begin_now(now);
  service_.stop_note = std::move(note);
}

/// The signal to send now; its number is 0 for none.
MIRAKURU_DECL TimedSignal StopOperation::signal_due(TimePoint now) {
  if (service_.refused) schedule_.shorten_grace();
  if (schedule_.over(now))
    throw_resists(now, service_.refused ? "a process may not be ended"
                                        : "a process survived SIGKILL for 10 s");
  const auto due = schedule_.due(now);
  if (due.signal != 0 && !service_.exit_code) signals_.push_back(due.signal);
  if (due.signal != 0 && signals_sent_++ == 0) leader_had_ended_ = service_.exit_code.has_value();
  return due;
}

MIRAKURU_DECL void StopOperation::send(const TimedSignal& due) {
  leaders_signal_ = 0;
  if (!service_.exit_code) leader_first_ = due.scope == Scope::leader;
  const auto scope = service_.exit_code ? Scope::tree : due.scope;
  if (scope == Scope::leader) leaders_signal_ = due.signal;
  service_.signal(due.signal, scope);
}

MIRAKURU_DECL void StopOperation::wait(TimePoint now, WaitSet& waits) {
  service_.changes.drop_unused();
  const int event = service_.event();
  const std::chrono::nanoseconds waited = now - begin_;
  waits.add(event);
  waits.until(std::min(schedule_.next(),
                       after(now, event >= 0 ? pause_for_event(waited) : pause_after(waited))));
  if (way_) way_->wait(now, waits);
}

/// True if `stop()` throws for this end.
MIRAKURU_DECL bool StopOperation::ended_badly() const {
  return !is_accepted(service_.exit_code.value_or(0), accept_, signals_) || service_.has_trouble();
}

MIRAKURU_DECL void StopOperation::end(TimePoint now) {
  // The rest of a daemon's tree is the service itself. SIGKILL goes to all at once, and after a
  // leader that comes first the others are meant to live.
  if (!service_.stragglers.empty() && !ended_by_itself() && !leader_first_ &&
      service_.exit_code != -SIGKILL)
    report_stragglers();
  if (service_.reports_steps()) report_stopped(now);
  if (policy_ == ExitPolicy::ignore || !ended_badly()) return;
  if (policy_ == ExitPolicy::report)
    service_.report_end(ended_by_itself());
  else
    throw_finished(now);
}

[[gnu::cold]] MIRAKURU_DECL void StopOperation::report_stragglers() {
  service_.report(LeftStragglers{service_.command.text(), service_.stragglers});
}

[[gnu::cold]] MIRAKURU_DECL void StopOperation::report_killed(TimePoint now) {
  service_.report(HadToBeKilled{service_.command.text(), now - begin_});
}

[[gnu::cold]] MIRAKURU_DECL void StopOperation::report_stopped(TimePoint now) {
  service_.report(Stopped{service_.command.text(), service_.exit_code.value_or(0), now - begin_});
}

[[gnu::cold]] MIRAKURU_DECL void StopOperation::throw_resists(TimePoint now,
                                                              const char* headline) const {
  throw ExecutorError{service_.error_context(now).message(headline)};
}

[[gnu::cold]] MIRAKURU_DECL void StopOperation::throw_finished(TimePoint now) {
  const int code = service_.exit_code.value_or(0);
  service_.told = true;
  service_.error_context(now).throw_finished(code, is_accepted(code, accept_, signals_));
}

MIRAKURU_DECL void run_stop(ServiceBase& service, const StopPlan& plan, ExitPolicy policy,
                            const std::vector<int>& accept) {
  run(StopOperation{service, Clock::now(), plan, policy, accept}, PollLoop{});
}

MIRAKURU_DECL bool WaitOperation::resume(TimePoint now, WaitSet& waits) {
  waits.clear();
  if (error_) std::rethrow_exception(error_);
  if (!service_.has_process() && !service_.has_started()) service_.throw_not_started();
  if (!service_.alive() || service_.exit_code) return service_.waited_for = true;
  if (now >= after(begin_, limit_)) service_.throw_still_running(now - begin_, limit_);
  const int event = service_.event();
  waits.until(after(begin_, limit_));
  waits.add(event);
  // Also once a second: somebody may have stopped the guardian, which brings the news.
  if (patience_.over(now))
    service_.report(StillWaiting{
        service_.command.text(), "its end", {}, now - begin_, limit_, last_line(service_.streams)});
  waits.until(patience_.next());
  waits.until(after(now, event < 0 ? pause_after(now - begin_) : std::chrono::seconds{1}));
  return false;
}

}  // namespace mirakuru::detail
