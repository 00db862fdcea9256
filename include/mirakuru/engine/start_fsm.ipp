// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/engine/start_fsm.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL void StartFSM::resume(TimePoint now, bool process_news, bool probe_due) {
  now_ = now;
  // Whoever is awake looks early: one wake-up less.
  constexpr std::chrono::milliseconds early{500};
  process_news_ |= process_news || now >= observe_at_ - early;
  due_ |= probe_due;
  judge();
}

MIRAKURU_DECL void StartFSM::prechecked(bool already_true) {
  already_true_ = already_true;
  if (!already_true) next_check();
}

MIRAKURU_DECL void StartFSM::spawned(std::chrono::nanoseconds budget) {
  stage_ = Stage::probing;
  check_ = 0;
  deadline_ = after(now_, budget);
  process_news_ = true;
  timeline_.spawned = now_;
  timeline_.checks.clear();
  timeline_.checks.resize(valid_after_exit_.size());
}

MIRAKURU_DECL void StartFSM::observed(bool alive, std::optional<int> exit_code) {
  process_news_ = false;
  observe_at_ = after(now_, std::chrono::seconds{1});
  exit_code_ = exit_code;
  if (alive && exit_code.value_or(0) == 0) return;
  exited_ = true;
  stage_ = Stage::closing;
}

MIRAKURU_DECL void StartFSM::probed() {
  has_probe_ = due_ = true;
  pending_ = closed_ = false;
}

MIRAKURU_DECL void StartFSM::polled(const Readiness& answer, bool pending) {
  due_ = false;
  if (stage_ == Stage::probing || stage_ == Stage::closing) {
    auto& times = timeline_.checks[check_];
    if (times.attempts == 0) times.first_tried = now_;
    if (times.attempts == 0 || !(pending_ || closed_)) ++times.attempts;
  }
  tried_ = true;
  pending_ = pending;
  if (stage_ != Stage::ending) answer_ = answer;
}

MIRAKURU_DECL void StartFSM::closed(bool pending) {
  closed_ = true;
  pending_ = pending;
  due_ = pending || (stage_ == Stage::closing && takes_last_look());
}

MIRAKURU_DECL void StartFSM::failed() {
  stage_ = Stage::ending;
  closed_ = false;
  answer_.reset();
}

/// Judges the answer of the last poll, at the moment after it.
MIRAKURU_DECL void StartFSM::judge() {
  if (!answer_) return;
  const auto answer = *std::exchange(answer_, std::nullopt);
  if (stage_ == Stage::prechecking) {
    if (answer || !pending_) prechecked(static_cast<bool>(answer));
  } else if (answer && (stage_ == Stage::probing || takes_last_look())) {
    timeline_.checks[check_].passed = now_;
    process_news_ = true;
    if (!exited_) stage_ = Stage::probing;
    next_check();
  } else if (!answer.reason().empty()) {
    reason_ = answer.reason();
  }
}

MIRAKURU_DECL void StartFSM::next_check() {
  ++check_;
  has_probe_ = due_ = pending_ = closed_ = tried_ = false;
  reason_.clear();
}

MIRAKURU_DECL StartFSM::Action StartFSM::next() {
  switch (stage_) {
    case Stage::begin:
      return Action::begin;
    case Stage::prechecking:
      if (already_true_) return Action::refuse;
      if (all_passed()) return Action::spawn;
      if (!has_probe_) return Action::precheck;
      return due_ ? Action::poll : Action::wait;
    case Stage::probing:
      // The answer of an attempt under way counts, even if the process has ended since.
      if (due_ && pending_) return Action::poll;
      if (process_news_ && !(only_spawns() && all_passed())) return Action::observe;
      if (all_passed()) return Action::done;
      if (!has_probe_) return Action::probe;
      if (!tried_ || now_ < deadline_) return due_ ? Action::poll : Action::wait;
      stage_ = Stage::closing;
      [[fallthrough]];
    case Stage::closing:
      return next_of_closing();
    case Stage::ending:
      if (has_probe_ && !closed_) return Action::close;
      if (!pending_) return Action::end;
      return due_ ? Action::poll : Action::wait;
  }
  return Action::end;
}

MIRAKURU_DECL StartFSM::Action StartFSM::next_of_closing() {
  const auto failure = exited_ ? Action::exit : Action::time_out;
  if (all_passed())  // and the process has ended
    return only_spawns() || (valid_after_exit_.back() && exit_code() == 0) ? Action::done : failure;
  if (!has_probe_) return takes_last_look() ? Action::probe : failure;
  if (!closed_) return Action::close;
  if (due_) return Action::poll;
  return pending_ ? Action::wait : failure;
}

MIRAKURU_DECL void StartFSM::wait(WaitSet& waits, bool pollable) const {
  if (stage_ != Stage::probing) return;
  waits.until(std::min(deadline_, observe_at_));
  if (!pollable) waits.until(after(now_, pause_after(now_ - timeline_.spawned)));
}

MIRAKURU_DECL TimePoint StartFSM::close_until() const {
  // Input that is there at the deadline is worth a moment more.
  return stage_ == Stage::ending ? now_ : after(deadline_, std::chrono::milliseconds{50});
}

}  // namespace mirakuru::detail
