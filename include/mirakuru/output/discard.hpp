// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <utility>

#include <mirakuru/output/streams.hpp>

namespace mirakuru {

/// What the child prints goes to /dev/null.
struct Discard {
  static constexpr bool keeps_output = false;

  /// Throws `std::system_error` when /dev/null cannot be opened.
  [[nodiscard]] OutputStreams open() const {
    const auto null = [] {
      constexpr int flags = O_WRONLY | O_CLOEXEC;
      return OutputFile{detail::checked_fd(::open("/dev/null", flags), "open /dev/null")};
    };
    auto out = null();
    return {std::move(out), null()};
  }
};

}  // namespace mirakuru
