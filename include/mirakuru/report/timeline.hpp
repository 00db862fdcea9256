// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <mirakuru/os/clock.hpp>

namespace mirakuru {

/// The times of one check during a start.
struct CheckTimes {
  TimePoint first_tried = {};         ///< the first attempt; zero if there was none
  TimePoint passed = {};              ///< zero if the check has not passed
  std::size_t attempts = 0;           ///< the number of attempts
  std::vector<CheckTimes> arms = {};  ///< of a composed check, one for each of its checks
  std::string note = {};              ///< of `ready_but()`; empty for none
};

/// The times of a start, in order.
struct Timeline {
  TimePoint spawned = {};               ///< right before the spawn
  std::vector<CheckTimes> checks = {};  ///< one for each check, in the executor's order
  TimePoint ready = {};                 ///< zero if the process did not become ready
};

}  // namespace mirakuru
