// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <ctime>

#include <mirakuru/engine/loop.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL void PollLoop::wait(WaitSet& waits) {
  if (waits.wants_no_wait()) return;
  const auto descriptors = waits.descriptors();
  const auto left = std::max(waits.deadline() - Clock::now(), Clock::duration::zero());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
  const timespec limit{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
  ::ppoll(descriptors.data(), descriptors.size(),
          waits.deadline() == TimePoint::max() ? nullptr : &limit, nullptr);
}

}  // namespace mirakuru::detail
