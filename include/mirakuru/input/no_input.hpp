// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>

#include <mirakuru/input/input_stream.hpp>

namespace mirakuru {

/// The input is empty from the begin: /dev/null.
struct NoInput {
  static constexpr bool writable = false;

  /// Throws `std::system_error` if /dev/null cannot be opened.
  [[nodiscard]] InputStream open() const {
    return {detail::checked_fd(::open("/dev/null", O_RDONLY | O_CLOEXEC), "open /dev/null")};
  }
};

}  // namespace mirakuru
