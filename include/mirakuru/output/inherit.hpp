// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/output/streams.hpp>

namespace mirakuru {

/// The child prints where the test itself prints; nothing is kept.
struct Inherit {
  static constexpr bool keeps_output = false;
  static constexpr bool inherited = true;

  [[nodiscard]] OutputStreams open() const { return {}; }
};

}  // namespace mirakuru
