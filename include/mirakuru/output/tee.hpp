// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <string>
#include <utility>

#include <mirakuru/output/capture.hpp>
#include <mirakuru/output/streams.hpp>

namespace mirakuru {

namespace detail {

/// A copy of the test's standard error that never blocks; none if it is closed.
inline UniqueFd standard_error_copy() {
  struct stat status{};
  if (::fstat(STDERR_FILENO, &status) != 0) return {};
  // A pipe or terminal that is opened anew has flags of its own. A file keeps its place.
  if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
    constexpr int flags = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    if (UniqueFd again{::open("/proc/self/fd/2", flags)}) return move_above_stdio(std::move(again));
  }
  return UniqueFd{::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)};
}

}  // namespace detail

/// `Capture` that also copies each line to the test's standard error, as it comes, with the name of
/// the program in front: "redis-server: Ready to accept connections".
///
/// The guardian copies the lines, also while the test does something else. A line of more than
/// 16 kB is cut into pieces. Lines that nobody takes are dropped 0.1 s after the tree's end. Rests
/// on inotify, and on pauses of 10 ms where there is none.
struct Tee {
  static constexpr bool keeps_output = true;
  static constexpr bool needs_guardian = true;

  /// Throws `std::system_error` when no temporary file can be made.
  [[nodiscard]] OutputStreams open() const {
    auto streams = Capture{}.open();
    streams.copy_to(detail::standard_error_copy());
    return streams;
  }
};

}  // namespace mirakuru
