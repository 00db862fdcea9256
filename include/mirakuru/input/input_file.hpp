// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <string>

#include <mirakuru/input/input_stream.hpp>
#include <mirakuru/os/file_name.hpp>

namespace mirakuru {

/// The input is a file, from its begin in each start. A FIFO is opened without a wait for a writer.
struct InputFile {
  static constexpr bool writable = false;

  FileName path;

  /// Throws `std::system_error` naming a file that cannot be opened.
  [[nodiscard]] InputStream open() const {
    const auto step = "open the input " + path.str();
    constexpr int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    auto file = detail::checked_fd(::open(path.str().c_str(), flags), step.c_str());
    if (::fcntl(file.get(), F_SETFL, 0) != 0) detail::throw_errno("fcntl F_SETFL");
    return {std::move(file)};
  }
};

}  // namespace mirakuru
