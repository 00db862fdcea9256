// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <utility>

#include <mirakuru/engine/start_state.hpp>
#include <mirakuru/error.hpp>

namespace mirakuru::detail {

// Before the spawn, and then at it
// -----------------------------------------------------------------

MIRAKURU_DECL bool StartState::begin_look(const Entry& entry) {
  if (entry.answer) return static_cast<bool>(*entry.answer);
  entered(attempt_limit({}));
  return false;
}

MIRAKURU_DECL bool StartState::still_looks(Race& race, bool& holds) {
  race.go_on();
  if (!has_ended_at_limit(race)) {
    race.until(limit_);
    return true;
  }
  entered_ = false;
  const auto answer = race.take_readiness();
  holds = answer && *answer;
  return false;
}

MIRAKURU_DECL void StartState::refuse(const std::string& holder) const {
  ErrorContext{.command = base_.invocation.text()}.throw_already_running(holder);
}

MIRAKURU_DECL void StartState::begin_waiting(pid_t pid, std::chrono::nanoseconds budget) {
  process_.emplace(pid, base_.streams);
  deadline_ = after(base_.timeline.spawned, budget);
  stage_ = Stage::attempting;
  check_ = 0;
}

// The check at hand
// --------------------------------------------------------------------------------

MIRAKURU_DECL void StartState::begin_attempt(bool valid_after_exit) {
  stage_ = Stage::attempting;
  tried_ = true;
  last_words_ = valid_after_exit;
  auto& times = base_.timeline.checks[check_];
  if (times.attempts++ == 0) times.first_tried = Clock::now();
}

MIRAKURU_DECL void StartState::take(const Entry& entry) {
  if (entry.answer) return judge(entry.answer);
  limited_ = entry.attempt == Attempt::limited;
  entered(limited_ ? attempt_limit(Clock::now() - base_.timeline.spawned)
                   : std::chrono::nanoseconds::max());
}

MIRAKURU_DECL void StartState::look() {
  const bool last = !process_->running() || Clock::now() >= deadline_;
  if (last) watch_->close();
  // What is there at the deadline is worth a moment more.
  const auto end = after(deadline_, std::chrono::milliseconds{50});
  do judge(watch_->look());
  while (last && watch_ && watch_->more() && Clock::now() < end);
}

MIRAKURU_DECL void StartState::go_on(Race& race) {
  asking_ = true;
  race.go_on();
  asking_ = false;
}

MIRAKURU_DECL void StartState::take_outcome(Race& race) {
  if (!entered_ || race.attempting()) return;
  entered_ = false;
  asking_ = true;
  const auto answer = race.take_readiness();
  asking_ = false;
  judge(answer, true);
}

MIRAKURU_DECL void StartState::judge(const std::optional<Readiness>& answer, bool in_flight) {
  limit_ = Clock::time_point::max();
  if (answer && *answer) {
    base_.timeline.checks[check_++].passed = Clock::now();
    base_.spent.keep(std::move(watch_));
    unseen_ = true;
    tried_ = false;  // each is tried once, however late it is
    reason_.clear();
    return;
  }
  const auto now = Clock::now();
  const std::chrono::nanoseconds waited = now - base_.timeline.spawned;
  // An attempt that the deadline has cut short does not hide what was said before.
  const bool was_long = now - entered_at_ > waited / 2;
  if (!answer && limited_ && (was_long || reason_.empty()))
    reason_ = "no answer within " + to_text(now - entered_at_);
  else if (answer && !answer->reason().empty())
    reason_ = answer->reason();
  const auto pause = !watch_          ? pause_after(waited, in_flight ? 45 : 64)
                     : watch_->more() ? std::chrono::nanoseconds{}
                                      : watch_->pause(waited);
  resume_at_ = after(now, pause);
  stage_ = Stage::pausing;
}

MIRAKURU_DECL void StartState::entered(std::chrono::nanoseconds limit) {
  entered_ = true;
  entered_at_ = Clock::now();
  limit_ = after(entered_at_, limit);
}

MIRAKURU_DECL bool StartState::has_ended_at_limit(Race& race) {
  if (entered_ && Clock::now() >= limit_) {
    race.call_off();
    limit_ = Clock::time_point::max();
  }
  return entered_ && !race.attempting();
}

// What there is to do
// ------------------------------------------------------------------------------

MIRAKURU_DECL void StartState::wake(bool process_has_news) {
  woken_at_ = Clock::now();
  if (watch_) resume_at_ = woken_at_;
  unseen_ |= process_has_news || woken_at_ >= look_again_at_;
}

/// Once in a while without news, too: somebody may have stopped who would tell them.
MIRAKURU_DECL bool StartState::unseen() {
  if (!std::exchange(unseen_, false)) return false;
  look_again_at_ = after(Clock::now(), std::chrono::seconds{1});
  return true;
}

MIRAKURU_DECL void StartState::wait_for(Race& race, int event) const {
  base_.spent.unfollow();
  auto until = std::min(deadline_, look_again_at_);
  until = std::min(until, entered_ ? limit_ : resume_at_);
  const auto now = Clock::now();
  if (event < 0) until = std::min(until, after(now, pause_after(now - base_.timeline.spawned)));
  race.watch(event, watch_ ? watch_->event() : -1);
  race.until(until);
}

MIRAKURU_DECL bool StartState::ready(Race& race) {
  if (base_.spent.too_many()) {
    race.forget();
    base_.spent.close();
  }
  base_.timeline.ready = Clock::now();
  return true;
}

// How it fails
// -------------------------------------------------------------------------------------

MIRAKURU_DECL void StartState::throw_exited(std::string awaited) const {
  base_.error_context(std::move(awaited), reason_).throw_exited(base_.exit_code.value_or(0));
}

MIRAKURU_DECL void StartState::throw_timed_out(std::string awaited,
                                               std::chrono::nanoseconds budget) const {
  base_.error_context(std::move(awaited), reason_).throw_timed_out(budget);
}

MIRAKURU_DECL void StartState::throw_check_failed(std::string awaited) const {
  base_.error_context(std::move(awaited), reason_).throw_check_failed();
}

MIRAKURU_DECL void StartState::begin_ending(std::exception_ptr error) {
  stage_ = Stage::ending;
  error_ = std::move(error);
  base_.spent.keep(std::move(watch_));
}

}  // namespace mirakuru::detail
