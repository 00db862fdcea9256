// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <stdexcept>

#include <mirakuru/engine/start.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/report/advice.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL StartOperation::StartOperation(ServiceBase& service, CoroutineLoop loop,
                                             std::chrono::nanoseconds limit)
    : service_{service},
      loop_{loop.get()},
      is_wait_{false},
      budget_{std::min(service.terms().start, limit)},
      timeline_{service.timeline},
      fsm_{service.calls->valid_after_exit, timeline_, service.calls->of_spawn} {}

/// The predicate of a wait_for() may be about the end.
inline constexpr bool predicate_is_valid_after_exit[] = {true};

MIRAKURU_DECL StartOperation::StartOperation(ServiceBase& service, CheckRef check,
                                             std::chrono::nanoseconds limit, CoroutineLoop loop)
    : service_{service},
      loop_{loop.get()},
      check_of_wait_{check},
      is_wait_{true},
      budget_{limit},
      timeline_{own_timeline_},
      fsm_{predicate_is_valid_after_exit, timeline_} {}

MIRAKURU_DECL StartOperation::~StartOperation() = default;

MIRAKURU_DECL bool StartOperation::resume(TimePoint now, WaitSet& waits) {
  const auto at = fsm_.check();
  look_at_watchers(now, waits);
  begin_round(now, waits);
  if (fsm_.check() != at && service_.reports_steps()) report_passed(at);
  if (error_) end_tree(waits);
  // resume() comes back with a fresh time.
  const auto again = [&waits] {
    waits.again();
    return false;
  };
  for (bool first = true;; first = false) {
    const auto action = fsm_.next();
    if (action == Action::end) {
      if (stop_) return false;
      std::rethrow_exception(error_);
    }
    if (action == Action::spawn && !first) return again();  // the budget begins there
    try {
      if (carry_out(action, waits)) return action == Action::done || action == Action::begin;
    } catch (...) {
      if (!error_) {
        fail(std::current_exception());
        return again();  // the stop budget begins there
      }
      fsm_.closed(false);  // a probe that throws while it is called off has no attempt left
    }
  }
}

MIRAKURU_DECL void StartOperation::fail(std::exception_ptr error) {
  if (error_) return;
  error_ = std::move(error);
  fsm_.failed();
}

/// Takes the readiness of the last wait.
MIRAKURU_DECL void StartOperation::begin_round(TimePoint now, WaitSet& waits) {
  fsm_.resume(now, service_.event() < 0 || waits.ready(0), probe_.due(now, waits));
  waits.clear();
  round_began_ = Clock::now();
  if (!fsm_.has_probe()) probe_.end();  // it may hold a port that the service needs
}

/// Carries out one action. Returns true when resume() has to return.
MIRAKURU_DECL bool StartOperation::carry_out(Action action, WaitSet& waits) {
  switch (action) {
    case Action::begin:
      if (is_wait_) {
        join();
        return false;
      }
      if (service_.alive()) return true;
      service_.begin_start();
      fsm_.begun();
      return false;
    case Action::precheck:
    case Action::probe:
    case Action::poll:
    case Action::close:
    case Action::wait:
      try {
        ask(action, waits);
      } catch (const CannotHold&) {
        spares_tree_ = false;
        throw_check_failed(described());
      } catch (...) {
        if (is_wait_) throw;
        throw_check_failed(described());
      }
      if (action == Action::poll) waits.again();
      return action == Action::poll || action == Action::wait;
    case Action::spawn:
      spawn();
      waits.again();
      return true;
    case Action::observe:
      observe();
      return false;
    case Action::done:
      done();
      return true;
    default:
      throw_failure(action);
  }
}

/// Takes the place of the spawn in a `wait_for()`. Throws `ExecutorError` if there is no process,
/// and has been none.
MIRAKURU_DECL void StartOperation::join() {
  (void)service_.alive();
  spares_tree_ = true;
  if (!service_.has_process() && !service_.has_started()) service_.throw_not_started();
  if (check_of_wait_.reads_output()) news_ = service_.streams.from_now_on();
  fsm_.begun();
  spawned();
}

MIRAKURU_DECL void StartOperation::spawn() {
  service_.spawn();
  spawned();
  for (std::size_t at = 0; at < service_.calls->watchers; ++at)
    watchers_.emplace_back().begin(service_.watcher(at).watch(*process_));
  if (service_.reports_steps()) report_spawned();
}

[[gnu::cold]] MIRAKURU_DECL void StartOperation::report_spawned() {
  service_.report(Spawned{service_.command.text(), service_.pid()});
}

MIRAKURU_DECL void StartOperation::spawned() {
  fsm_.spawned(budget_);
  patience_ = Patience{fsm_.now()};
  const bool from_now_on = check_of_wait_.reads_output();
  auto context = service_.context_of_process();
  context.since = fsm_.now();
  context.changes = &service_.changes;
  context.loop = loop_;
  context.run = from_now_on ? &service_.streams : nullptr;
  context.command = &service_.command;
  context.port = &service_.port;
  context.from_now_on = is_wait_;
  process_.emplace(service_.pid(), from_now_on ? news_ : service_.streams, true, context);
}

/// Calls code of the check at hand, whose exceptions come nested in the start's error.
MIRAKURU_DECL void StartOperation::ask(Action action, WaitSet& waits) {
  if (action == Action::poll) return poll();
  if (action == Action::close) return close();
  if (action == Action::wait) return wait(waits);
  if (action == Action::probe) return begin_probe(check(fsm_.check()).probe(*process_));
  const auto asked = check(fsm_.check());
  if (auto probe = asked.precheck())
    begin_probe(std::move(probe));
  else
    fsm_.prechecked(asked.already_true());
}

MIRAKURU_DECL void StartOperation::begin_probe(std::unique_ptr<Probe> probe) {
  if (!probe) throw std::logic_error{"a check has made no probe"};
  probe_.begin(std::move(probe));
  fsm_.probed();
}

MIRAKURU_DECL void StartOperation::poll() {
  const auto answer = probe_.poll(fsm_.now());
  if (answer && !fsm_.all_passed() && fsm_.check() < timeline_.checks.size()) {
    auto& times = timeline_.checks[fsm_.check()];
    times.arms = probe_.arms();
    times.note = answer.reason();
  }
  fsm_.polled(answer, probe_.pending());
}

MIRAKURU_DECL void StartOperation::close() {
  probe_.close(fsm_.close_until());
  fsm_.closed(probe_.pending());
}

MIRAKURU_DECL void StartOperation::wait(WaitSet& waits) {
  if (patience_.over(fsm_.now())) service_.report(still_waiting());
  const int event = service_.event();
  if (!error_) waits.add(fsm_.watches_process() ? event : -1);  // else the stop has added it
  service_.changes.drop_unused();
  fsm_.wait(waits, event >= 0);
  if (!error_) waits.until(patience_.next());
  probe_.wait(fsm_.now(), waits);
  for (auto& watcher : watchers_) watcher.wait(fsm_.now(), waits);
}

MIRAKURU_DECL void StartOperation::observe() {
  const bool alive = service_.alive();
  if (!is_wait_) {
    fsm_.observed(alive, service_.exit_code);
  } else {
    // The predicate may be about the end of the tree, which takes a moment after its leader's.
    if (service_.exit_code.value_or(0) != 0) leader_failed_ = std::min(leader_failed_, fsm_.now());
    const bool failed = fsm_.now() >= after(leader_failed_, std::chrono::seconds{1});
    fsm_.observed(alive && !failed, {});
  }
  if (fsm_.exited()) process_->set_ended(service_.exit_code);
}

MIRAKURU_DECL void StartOperation::done() {
  if (FileChanges::too_many_open()) service_.changes.close();
  timeline_.ready = fsm_.now();
}

/// Makes the start fail if a watcher's check holds.
MIRAKURU_DECL void StartOperation::look_at_watchers(TimePoint now, const WaitSet& waits) {
  if (error_) return;
  try {
    for (std::size_t at = 0; at < watchers_.size(); ++at)
      if (watchers_[at].is_new() || watchers_[at].due(now, waits)) poll_watcher(at, now);
  } catch (...) {
    fail(std::current_exception());
  }
}

/// Throws the error of one that holds.
MIRAKURU_DECL void StartOperation::poll_watcher(std::size_t at, TimePoint now) {
  const auto watcher = service_.watcher(at);
  try {
    if (!watchers_[at].poll(now)) return;
  } catch (const DeadlinePassed&) {
    return watchers_[at].end();  // it has looked for as long as it should
  } catch (...) {
    throw_check_failed(watcher.describe());
  }
  throw_watched(watcher);
}

[[gnu::cold]] MIRAKURU_DECL void StartOperation::throw_watched(const WatcherRef& watcher) const {
  const auto quote = watcher.quote(*process_);
  const auto headline =
      "it fails on " + watcher.describe() + (quote.empty() ? "" : ": " + one_line(quote));
  throw ExecutorError{service_.error_context(fsm_.now()).message(headline)};
}

/// Begins the stop after a failure, or goes on with it.
[[gnu::cold]] MIRAKURU_DECL void StartOperation::end_tree(WaitSet& waits) {
  try {
    if (!std::exchange(stops_, true) && service_.has_process() && !spares_tree_) {
      const auto steps = service_.kill_steps();
      stop_.emplace(service_, fsm_.now(), StopPlan{steps}, ExitPolicy::ignore);
    }
    if (!stop_ || !stop_->resume(fsm_.now(), waits)) return;
  } catch (...) {
    error_ = std::current_exception();
  }
  stop_.reset();
}

/// Tells the reporter that a check has passed.
[[gnu::cold]] MIRAKURU_DECL void StartOperation::report_passed(std::size_t at) {
  if (at >= timeline_.checks.size() || timeline_.checks[at].passed == TimePoint{}) return;
  const auto& times = timeline_.checks[at];
  service_.report(CheckPassed{service_.command.text(), awaited(described(at), at),
                              times.passed - timeline_.spawned, times.attempts, times.note});
}

MIRAKURU_DECL CheckRef StartOperation::check(std::size_t at) const {
  if (at >= (is_wait_ ? 1 : service_.calls->valid_after_exit.size())) return {};
  return is_wait_ ? check_of_wait_ : service_.check(at);
}

/// The name of a check; empty for a predicate. An exception from describe() must not replace
/// another error.
[[gnu::cold]] MIRAKURU_DECL std::string StartOperation::described(std::size_t at) const try {
  return check(at).describe();
} catch (...) {
  return "check " + std::to_string(at + 1) + " (its describe() throws)";
}

[[gnu::cold]] MIRAKURU_DECL std::string StartOperation::awaited(const std::string& described,
                                                                std::size_t at) const {
  if ((at == fsm_.check() && fsm_.all_passed()) || !described.empty()) return described;
  if (is_wait_) return "the predicate of wait_for";
  return "a predicate (check " + std::to_string(at + 1) + ')';
}

/// Says why the check at hand is true before the start.
[[gnu::cold]] MIRAKURU_DECL std::string StartOperation::conflict() const {
  try {
    auto text = check(fsm_.check()).describe_conflict();
    if (!text.empty()) return text;
  } catch (...) {
    throw_check_failed(described());
  }
  return awaited(described(), fsm_.check()) + " holds before the start";
}

/// The hint of the check at hand, which has timed out. An exception must not replace that error.
[[gnu::cold]] MIRAKURU_DECL std::string StartOperation::hint() const try {
  return check(fsm_.check()).hint(*process_);
} catch (...) {
  return {};
}

[[gnu::cold]] MIRAKURU_DECL StillWaiting StartOperation::still_waiting() const {
  return {.command = service_.command.text(),
          .awaited = awaited(described(), fsm_.check()),
          .answer = fsm_.reason(),
          .waited = fsm_.now() - timeline_.spawned,
          .limit = budget_,
          .last_line = last_line(service_.streams)};
}

[[gnu::cold]] MIRAKURU_DECL ErrorContext
StartOperation::error_context(TimePoint now, const std::string& described) const {
  auto context = service_.error_context(now, awaited(described, fsm_.check()), fsm_.reason());
  if (is_wait_) context.waited = now - timeline_.spawned;
  return context;
}

[[gnu::cold]] MIRAKURU_DECL void StartOperation::throw_failure(Action action) {
  if (action == Action::refuse) {
    const auto text = conflict();
    spares_tree_ = false;
    service_.error_context(fsm_.now()).throw_already_running(text);
  }
  for (std::size_t at = 0; at < watchers_.size(); ++at)  // the last words tell more
    if (!watchers_[at].is_over()) poll_watcher(at, fsm_.now());
  spares_tree_ = false;
  auto context = error_context(fsm_.now(), described());
  context.note(silence_advice(service_.streams));
  if (action == Action::time_out) {
    context.note(hint());
    if (service_.exit_code) context.note(leader_advice(*process_, *service_.exit_code));
  }
  if (action == Action::exit)
    context.throw_exited(service_.exit_code.value_or(0),
                         is_wait_ ? " before wait_for() could pass" : " before it was ready");
  context.throw_timed_out(budget_);
}

[[gnu::cold]] MIRAKURU_DECL void StartOperation::throw_check_failed(
    const std::string& described) const {
  const auto now = fsm_.now() + (Clock::now() - round_began_);  // the check has taken its time
  error_context(now, described).throw_check_failed();
}

}  // namespace mirakuru::detail
