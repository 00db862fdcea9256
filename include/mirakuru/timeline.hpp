// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

namespace mirakuru {

/// Where a check's share of a start went.
struct CheckTimes {
  std::chrono::steady_clock::time_point first_tried = {}, passed = {};  ///< zero if it was not
  std::size_t attempts = 0;
};

/// The moments of a start, in the order in which they came.
struct Timeline {
  std::chrono::steady_clock::time_point spawned = {};  ///< right before the spawn
  std::vector<CheckTimes> checks = {};                 ///< in the executor's order
  std::chrono::steady_clock::time_point ready = {};    ///< zero if it never was
};

}  // namespace mirakuru
