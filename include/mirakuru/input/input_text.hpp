// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <string>
#include <utility>

#include <mirakuru/input/input_stream.hpp>
#include <mirakuru/os/nameless_file.hpp>

namespace mirakuru {

/// The input is a text of any size, and then ends. It is in a file without a name, so nobody waits
/// for the command to read.
struct InputText {
  static constexpr bool writable = false;

  std::string text;

  /// Throws `std::system_error` if no such file can be made or written.
  [[nodiscard]] InputStream open() const {
    auto file = detail::nameless_file("a temporary file for the input", 0);
    for (std::size_t done = 0; done < text.size();) {
      const auto size =
          ::pwrite(file.get(), text.data() + done, text.size() - done, static_cast<off_t>(done));
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) detail::throw_errno("write a temporary file for the input");
      done += static_cast<std::size_t>(size);
    }
    return {std::move(file)};
  }
};

}  // namespace mirakuru
