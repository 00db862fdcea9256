// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/output/streams.hpp>

namespace mirakuru {

/// What the child prints goes to /dev/null.
struct Discard {
  static constexpr bool keeps_output = false;

  /// Throws `std::system_error` when /dev/null cannot be opened.
  [[nodiscard]] OutputStreams open() const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/impl/discard.ipp>
#endif
