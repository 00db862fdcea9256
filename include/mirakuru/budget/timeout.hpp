// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

namespace mirakuru {

/// How long a start and a stop may take. The default budget. A negative one is refused by the
/// executor's constructor with `std::invalid_argument`.
struct TimeoutBudget {
  /// All checks together, from the spawn; zero: they must hold at once.
  std::chrono::nanoseconds start = std::chrono::hours{1};
  /// From the first signal to SIGKILL; zero: SIGKILL follows at once.
  std::chrono::nanoseconds stop = std::chrono::seconds{10};
};

}  // namespace mirakuru
