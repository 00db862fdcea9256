// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/ready/file_probe.hpp>

namespace mirakuru {

MIRAKURU_DECL void ChangeProbe::count_look(TimePoint now) {
  using namespace std::chrono_literals;
  if (now - burst_began_ > 50ms) {
    burst_began_ = now;
    looks_ = 0;
  }
  ++looks_;
}

MIRAKURU_DECL void ChangeProbe::wait_for_change(TimePoint now, std::chrono::nanoseconds longest,
                                                WaitSet& waits) const {
  constexpr int many_looks = 50;
  if (!following_)
    return waits.until(detail::after(now, detail::pause_after(process_.waited(now))));
  if (looks_ > many_looks) return waits.until(detail::after(now, detail::pause_after({})));
  waits.add(changes_.event());
  waits.until(detail::after(now, longest));
}

MIRAKURU_DECL Readiness FileProbe::poll(TimePoint now) {
  count_look(now);
  changed_at_ = std::min(changed_at_, now);
  auto answer = look(now);
  if (answer) return answer;
  // The events are taken, and new places are followed, before the next look: no change falls in
  // between.
  bool news = changes_.drain();
  if (news) changed_at_ = now;
  if (!path_.empty() && (news || !following_)) following_ = changes_.follow_path(path_, news);
  return news ? look(now) : answer;
}

/// Some changes cause no event here, such as those by another machine.
MIRAKURU_DECL void FileProbe::wait(TimePoint now, WaitSet& waits) const {
  wait_for_change(now, detail::pause_for_event(process_.waited(now)), waits);
}

}  // namespace mirakuru
