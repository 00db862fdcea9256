// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/output/streams.hpp>

namespace mirakuru {

/// The default output: each stream goes to a file of its own that has no name.
///
/// The child is never held up by a full pipe, however much it prints and whether or not the test
/// reads it: output costs disk, not memory. What a child opens anew and cuts off is gone, though: a
/// shell's `> /dev/stderr` does that to a file, and `>&2` or `>> /dev/stderr` does not. The files
/// lie in `$TMPDIR`, else in /tmp, and are gone with the executor. Rests on `O_TMPFILE`, or an
/// unlinked `mkostemp` file where the file system has none.
struct Capture {
  static constexpr bool keeps_output = true;

  /// Throws `std::system_error` when no such file can be made.
  [[nodiscard]] OutputStreams open() const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/output/capture.ipp>
#endif
