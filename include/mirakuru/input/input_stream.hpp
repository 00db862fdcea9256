// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <utility>

#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru {

/// The two ends of a command's standard input. The input policy makes them for each start.
struct InputStream {
  detail::UniqueFd reading;       ///< for the command
  detail::UniqueFd writing = {};  ///< for `write()`; none if nobody writes

  /// Takes over two open descriptors; `writing` is -1 for none. They are made close-on-exec, and
  /// moved above 2 if necessary. Throws `std::system_error`. Rests on `fcntl`.
  [[nodiscard]] static InputStream from(int reading, int writing = -1) {
    const auto own = [](int fd) {
      detail::UniqueFd result{fd};
      if (!result) return result;
      if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) detail::throw_errno("fcntl F_SETFD");
      return detail::move_above_stdio(std::move(result));
    };
    auto first = own(reading);
    return {std::move(first), own(writing)};
  }
};

}  // namespace mirakuru
