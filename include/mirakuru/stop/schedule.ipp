// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>

#include <mirakuru/stop/schedule.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL SignalSchedule::SignalSchedule(std::span<const SignalStep> steps,
                                             std::chrono::nanoseconds budget,
                                             Clock::time_point begin,
                                             std::chrono::nanoseconds head_start) {
  const auto end = after(begin, budget);
  auto at = after(begin, head_start);
  for (const auto& step : steps) {
    if (at >= end) break;
    entries_.push_back({at, step.signal, step.scope});
    at = after(at, step.wait);
  }
  entries_.push_back({std::min(at, end), SIGKILL});
}

MIRAKURU_DECL TimedSignal SignalSchedule::due(Clock::time_point now) {
  if (sent_ == entries_.size() || now < entries_[sent_].at) return {now, 0};
  entries_[sent_].at = now;  // the grace of SIGKILL runs from here, however late
  return entries_[sent_++];
}

MIRAKURU_DECL void SignalSchedule::begin_now(Clock::time_point now) {
  if (sent_ > 0 || entries_.size() < 2) return;
  const auto earlier = entries_[0].at - now;
  if (earlier <= Clock::duration::zero()) return;
  // The last entry is SIGKILL, which may wait for the end of the budget.
  for (std::size_t i = 0; i + 1 < entries_.size(); ++i) entries_[i].at -= earlier;
}

MIRAKURU_DECL void SignalSchedule::hurry(Clock::time_point now) {
  if (sent_ == entries_.size()) return;
  entries_.resize(sent_);
  entries_.push_back({now, SIGKILL});
}

MIRAKURU_DECL Clock::time_point SignalSchedule::next() const noexcept {
  return sent_ < entries_.size() ? entries_[sent_].at : after(entries_.back().at, grace_);
}

MIRAKURU_DECL bool SignalSchedule::over(Clock::time_point now) const noexcept {
  return sent_ == entries_.size() && now >= next();
}

}  // namespace mirakuru::detail
