// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <utility>

#include <mirakuru/os/nameless_file.hpp>
#include <mirakuru/output/streams.hpp>
#include <mirakuru/text/word.hpp>

namespace mirakuru {

namespace detail {

inline UniqueFd captured_file() {
  return nameless_file("a temporary file for the output", O_APPEND);
}

}  // namespace detail

/// The default output: each stream goes to a file of its own that has no name.
///
/// The child is never held up by a full pipe, however much it prints and whether or not the test
/// reads it: output costs disk, not memory. What a child opens anew and cuts off is gone, though: a
/// shell's `> /dev/stderr` does that to a file, and `>&2` or `>> /dev/stderr` does not. The files
/// lie in `$TMPDIR`, else in /tmp, and are gone with the executor. Rests on `O_TMPFILE`, or an
/// unlinked `mkostemp` file where the file system has none.
struct Capture {
  static constexpr bool keeps_output = true;

  /// A directory that gets a copy of the output with each error of the service, as
  /// PROGRAM-PID.out and PROGRAM-PID.err; empty: none. It is made if it is not there.
  Word keep_on_failure = {};

  /// Throws `std::system_error` when no such file can be made.
  [[nodiscard]] OutputStreams open() const {
    OutputFile out{detail::captured_file()};
    return {std::move(out), OutputFile{detail::captured_file()}};
  }
};

}  // namespace mirakuru
