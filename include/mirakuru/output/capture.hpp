// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>

#include <mirakuru/output/streams.hpp>

namespace mirakuru {

namespace detail {

/// A file without a name, open for reading and appending.
inline UniqueFd nameless_file() {
  const char* const preferred = ::secure_getenv("TMPDIR");
  int fd = -1;
  for (const char* directory : {preferred, "/tmp", "/var/tmp", "/dev/shm"}) {
    if (directory == nullptr || *directory == '\0') continue;
    constexpr int flags = O_RDWR | O_APPEND | O_CLOEXEC;
    fd = ::open(directory, flags | O_TMPFILE, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
      std::string name = std::string{directory} + "/mirakuru.XXXXXX";
      fd = ::mkostemp(name.data(), O_APPEND | O_CLOEXEC);
      if (fd >= 0) ::unlink(name.c_str());
    }
    if (fd >= 0 || errno == EMFILE || errno == ENFILE) break;
  }
  const std::string first = preferred == nullptr ? "" : preferred;
  const auto step = "a temporary file for the output, in " + (first.empty() ? "" : first + ", ") +
                    "/tmp, /var/tmp or /dev/shm";
  return checked_fd(fd, step.c_str());
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

  /// Throws `std::system_error` when no such file can be made.
  [[nodiscard]] OutputStreams open() const {
    OutputFile out{detail::nameless_file()};
    return {std::move(out), OutputFile{detail::nameless_file()}};
  }
};

}  // namespace mirakuru
