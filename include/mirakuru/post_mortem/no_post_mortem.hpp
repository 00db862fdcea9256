// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/spawn/launch.hpp>

namespace mirakuru {

/// Adds nothing to the error of a service that has died. The default.
struct NoPostMortem {
  /// One run of a service.
  struct Run {
    Run() = default;
    Run(const NoPostMortem&, LaunchRequest&) noexcept {}
    [[nodiscard]] std::string note() const noexcept { return {}; }
    [[nodiscard]] std::string reports() const noexcept { return {}; }
    [[nodiscard]] std::string backtrace(pid_t) const noexcept { return {}; }
  };
};

}  // namespace mirakuru
