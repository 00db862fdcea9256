// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <vector>

#include <mirakuru/spawn/launch.hpp>

namespace mirakuru {

/// The command has the limits of the test. The default.
struct Unlimited {
  [[nodiscard]] static std::vector<ResourceLimit> limits() { return {}; }
};

}  // namespace mirakuru
