// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

namespace mirakuru {

/// A time on the clock that nobody can set.
using TimePoint = std::chrono::steady_clock::time_point;

namespace detail {

using Clock = std::chrono::steady_clock;

/// `begin` plus `span`; `TimePoint::max()` if the sum would overflow.
[[nodiscard]] constexpr TimePoint after(TimePoint begin, std::chrono::nanoseconds span) {
  return span < TimePoint::max() - begin ? begin + span : TimePoint::max();
}

}  // namespace detail
}  // namespace mirakuru
