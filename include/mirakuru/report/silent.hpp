// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/report/event.hpp>

namespace mirakuru {

/// A reporter that says nothing.
struct Silent {
  /// Wants no steps.
  [[nodiscard]] static constexpr bool wants_steps() noexcept { return false; }
  /// Does nothing.
  void operator()(const Event&) const noexcept {}
};

}  // namespace mirakuru
