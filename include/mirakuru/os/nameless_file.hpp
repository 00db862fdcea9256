// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>
#include <string>

#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru::detail {

/// Makes a file without a name in $TMPDIR, else in /tmp, /var/tmp or /dev/shm. It is open for
/// reading and writing, with more `flags` such as O_APPEND. Throws `std::system_error` that names
/// the `purpose`. Rests on `O_TMPFILE`, or on an unlinked `mkostemp` file.
inline UniqueFd nameless_file(const char* purpose, int flags) {
  const char* const preferred = ::secure_getenv("TMPDIR");
  int fd = -1;
  for (const char* directory : {preferred, "/tmp", "/var/tmp", "/dev/shm"}) {
    if (directory == nullptr || *directory == '\0') continue;
    fd = ::open(directory, O_RDWR | O_CLOEXEC | O_TMPFILE | flags, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
      std::string name = std::string{directory} + "/mirakuru.XXXXXX";
      fd = ::mkostemp(name.data(), O_CLOEXEC | flags);
      if (fd >= 0) ::unlink(name.c_str());
    }
    if (fd >= 0 || errno == EMFILE || errno == ENFILE) break;
  }
  const std::string first = preferred == nullptr ? "" : preferred;
  const auto step = std::string{purpose} + ", in " + (first.empty() ? "" : first + ", ") +
                    "/tmp, /var/tmp or /dev/shm";
  return checked_fd(fd, step.c_str());
}

}  // namespace mirakuru::detail
