// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/ready/watch.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL void Watch::count_look() {
  using namespace std::chrono_literals;
  const auto now = Clock::now();
  if (now - burst_began_ > 50ms) {
    burst_began_ = now;
    looks_ = 0;
  }
  resting_ = ++looks_ > 50;
}

MIRAKURU_DECL Readiness PathWatch::look() {
  count_look();
  auto readiness = ask();
  if (readiness) return readiness;
  // The changes so far are forgotten, and what is new is followed, before a look, so that nothing
  // falls in between.
  bool again = changes_.drain();
  if (again) changed_at_ = Clock::now();
  if (!path_.empty() && (again || !followed_)) {
    const auto followed = changes_.follow_path(path_);
    followed_ = followed != FileChanges::Followed::not_at_all;
    again |= followed == FileChanges::Followed::from_now_on;
  }
  return again ? ask() : readiness;
}

/// Some changes are told to nobody here, such as those by another machine.
MIRAKURU_DECL std::chrono::nanoseconds PathWatch::pause(std::chrono::nanoseconds waited) const {
  if (!followed_) return pause_after(waited);
  return resting() ? pause_after({}) : pause_for_event(waited);
}

}  // namespace mirakuru::detail
