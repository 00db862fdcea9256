// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <stdexcept>

#include <mirakuru/engine/start.hpp>
#include <mirakuru/error.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL void StartBase::begin_round(TimePoint now, int event, WaitSet& waits) {
  fsm_.resume(now, event < 0 || waits.ready(0), probe_.due(now, waits));
  waits.clear();
  round_began_ = Clock::now();
  if (!fsm_.has_probe()) probe_.end();  // it may hold a port that the service needs
}

MIRAKURU_DECL void StartBase::spawned(pid_t pid, std::chrono::nanoseconds budget) {
  fsm_.spawned(budget);
  process_.emplace(pid, base_.streams, true, ProbeContext{fsm_.now(), &base_.changes, loop_});
}

MIRAKURU_DECL void StartBase::observed(bool alive) {
  fsm_.observed(alive, base_.exit_code);
  if (fsm_.exited()) process_->set_ended();
}

MIRAKURU_DECL void StartBase::begin_probe(std::unique_ptr<Probe> probe) {
  if (!probe) throw std::logic_error{"a check has made no probe"};
  probe_.begin(std::move(probe));
  fsm_.probed();
}

MIRAKURU_DECL void StartBase::poll() {
  const auto answer = probe_.poll(fsm_.now());
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
  probe_.wait(fsm_.now(), waits);
}

MIRAKURU_DECL void StartBase::done() {
  if (FileChanges::too_many_open()) base_.changes.close();
  base_.timeline.ready = fsm_.now();
}

MIRAKURU_DECL std::string StartBase::awaited(const std::string& described) const {
  if (fsm_.all_passed() || !described.empty()) return described;
  return "a predicate (check " + std::to_string(fsm_.check() + 1) + ')';
}

MIRAKURU_DECL void StartBase::throw_failure(Action action, const std::string& described,
                                            std::chrono::nanoseconds budget) const {
  if (action == Action::refuse) base_.error_context(fsm_.now()).throw_already_running(described);
  const auto context = base_.error_context(fsm_.now(), awaited(described), fsm_.reason());
  if (action == Action::exit) context.throw_exited(fsm_.exit_code());
  context.throw_timed_out(budget);
}

MIRAKURU_DECL void StartBase::throw_check_failed(const std::string& described) const {
  const auto now = fsm_.now() + (Clock::now() - round_began_);  // the check has taken its time
  base_.error_context(now, awaited(described), fsm_.reason()).throw_check_failed();
}

}  // namespace mirakuru::detail
