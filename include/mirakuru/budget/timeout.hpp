// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/budget/duration.hpp>

namespace mirakuru {

/// The time that a start and a stop may take. The default budget. The executor's constructor throws
/// `std::invalid_argument` for a negative time.
struct TimeoutBudget {
  /// From the spawn until all checks have passed; zero: they must pass at once. The environment's
  /// `MIRAKURU_START_TIMEOUT` (`20s`, also ms, min, h) replaces the default.
  Duration start = std::chrono::hours{1};
  /// From the first signal to SIGKILL; zero: SIGKILL follows at once.
  Duration stop = std::chrono::seconds{10};
};

}  // namespace mirakuru
