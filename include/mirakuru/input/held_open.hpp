// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <utility>

#include <mirakuru/input/input_stream.hpp>

namespace mirakuru {

/// The default input: a pipe that stays open, and that `write()` writes to. A command that reads
/// waits until the test writes, closes the pipe by `close_input()`, or ends. With the output `Pty`
/// it is the terminal. Rests on `pipe2`.
struct HeldOpen {
  static constexpr bool writable = true;

  /// Throws `std::system_error` if there is no descriptor left.
  [[nodiscard]] InputStream open() const {
    auto pipe = detail::make_pipe();
    return {std::move(pipe.reading), std::move(pipe.writing)};
  }
};

}  // namespace mirakuru
