// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <stdexcept>

#include <mirakuru/engine/advice.hpp>
#include <mirakuru/engine/start.hpp>
#include <mirakuru/error.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL void StartBase::begin_round(TimePoint now, int event, WaitSet& waits) {
  fsm_.resume(now, event < 0 || waits.ready(0), probe_.due(now, waits));
  waits.clear();
  round_began_ = Clock::now();
  if (!fsm_.has_probe()) probe_.end();  // it may hold a port that the service needs
}

MIRAKURU_DECL void StartBase::spawned(pid_t pid, ProbeContext context) {
  fsm_.spawned(budget_);
  patience_ = Patience{fsm_.now()};
  context.since = fsm_.now();
  context.changes = &base_.changes;
  context.loop = loop_;
  context.run = from_now_on_ ? &base_.streams : nullptr;
  context.command = &base_.command;
  context.port = &base_.port;
  context.from_now_on = waits_for_;
  process_.emplace(pid, from_now_on_ ? news_ : base_.streams, true, context);
}

MIRAKURU_DECL void StartBase::join(pid_t pid, ProbeContext context, bool from_now_on) {
  spares_tree_ = true;
  if (pid == 0 && !base_.has_started()) base_.throw_not_started();
  from_now_on_ = from_now_on;
  if (from_now_on) news_ = base_.streams.from_now_on();
  fsm_.begun();
  spawned(pid, context);
}

MIRAKURU_DECL void StartBase::observed(bool alive) {
  if (!waits_for_) {
    fsm_.observed(alive, base_.exit_code);
  } else {
    // The predicate may be about the end of the tree, which takes a moment after its leader's.
    if (base_.exit_code.value_or(0) != 0) leader_failed_ = std::min(leader_failed_, fsm_.now());
    const bool failed = fsm_.now() >= after(leader_failed_, std::chrono::seconds{1});
    fsm_.observed(alive && !failed, {});
  }
  if (fsm_.exited()) process_->set_ended(base_.exit_code);
}

MIRAKURU_DECL void StartBase::begin_probe(std::unique_ptr<Probe> probe) {
  if (!probe) throw std::logic_error{"a check has made no probe"};
  probe_.begin(std::move(probe));
  fsm_.probed();
}

MIRAKURU_DECL void StartBase::poll() {
  const auto answer = probe_.poll(fsm_.now());
  if (answer && !fsm_.all_passed() && fsm_.check() < timeline_.checks.size()) {
    auto& times = timeline_.checks[fsm_.check()];
    times.arms = probe_.arms();
    times.note = answer.reason();
  }
  fsm_.polled(answer, probe_.pending());
}

MIRAKURU_DECL void StartBase::close() {
  probe_.close(fsm_.close_until());
  fsm_.closed(probe_.pending());
}

MIRAKURU_DECL void StartBase::wait(int event, WaitSet& waits) {
  if (!error_) waits.add(fsm_.watches_process() ? event : -1);  // else the stop has added it
  base_.changes.drop_unused();
  fsm_.wait(waits, event >= 0);
  if (!error_) waits.until(patience_.next());
  probe_.wait(fsm_.now(), waits);
}

MIRAKURU_DECL void StartBase::done() {
  if (FileChanges::too_many_open()) base_.changes.close();
  timeline_.ready = fsm_.now();
}

MIRAKURU_DECL std::string StartBase::awaited(const std::string& described,
                                             std::size_t check) const {
  if ((check == fsm_.check() && fsm_.all_passed()) || !described.empty()) return described;
  if (waits_for_) return "the predicate of wait_for";
  return "a predicate (check " + std::to_string(check + 1) + ')';
}

MIRAKURU_DECL StillWaiting StartBase::still_waiting(const std::string& described) const {
  return {.command = base_.command.text(),
          .awaited = awaited(described),
          .answer = fsm_.reason(),
          .waited = fsm_.now() - timeline_.spawned,
          .limit = budget_,
          .last_line = last_line(base_.streams)};
}

MIRAKURU_DECL ErrorContext StartBase::error_context(TimePoint now,
                                                    const std::string& described) const {
  auto context = base_.error_context(now, awaited(described), fsm_.reason());
  if (waits_for_) context.waited = now - timeline_.spawned;
  return context;
}

MIRAKURU_DECL void StartBase::throw_failure(Action action, const std::string& described,
                                            const std::string& hint) {
  spares_tree_ = false;
  if (action == Action::refuse) base_.error_context(fsm_.now()).throw_already_running(described);
  auto context = error_context(fsm_.now(), described);
  context.note(silence_advice(base_.streams));
  context.note(hint);
  if (action == Action::time_out && base_.exit_code)
    context.note(leader_advice(*process_, *base_.exit_code));
  if (action == Action::exit)
    context.throw_exited(base_.exit_code.value_or(0),
                         waits_for_ ? " before wait_for() could pass" : " before it was ready");
  context.throw_timed_out(budget_);
}

MIRAKURU_DECL void StartBase::throw_watched(const std::string& described,
                                            const std::string& quote) const {
  auto context = base_.error_context(fsm_.now());
  throw ExecutorError{
      context.message("it fails on " + described + (quote.empty() ? "" : ": " + one_line(quote)))};
}

MIRAKURU_DECL void StartBase::throw_check_failed(const std::string& described) const {
  const auto now = fsm_.now() + (Clock::now() - round_began_);  // the check has taken its time
  error_context(now, described).throw_check_failed();
}

}  // namespace mirakuru::detail
