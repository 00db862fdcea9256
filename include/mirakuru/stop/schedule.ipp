// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>

#include <mirakuru/stop/schedule.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL SignalSchedule::SignalSchedule(std::span<const SignalStep> steps,
                                             std::chrono::nanoseconds budget,
                                             Clock::time_point begin) {
  const auto end = after(begin, budget);
  auto at = begin;
  for (const auto& step : steps) {
    if (at >= end) break;
    entries_.push_back({at, step.signal});
    at = after(at, step.wait);
  }
  entries_.push_back({std::min(at, end), SIGKILL});
}

MIRAKURU_DECL int SignalSchedule::due(Clock::time_point now) {
  if (sent_ == entries_.size() || now < entries_[sent_].at) return 0;
  entries_[sent_].at = now;  // the grace of SIGKILL runs from here, however late
  return entries_[sent_++].signal;
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
