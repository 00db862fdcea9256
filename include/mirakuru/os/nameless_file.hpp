// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru::detail {

/// The directories for temporary files: $TMPDIR if it is set, /tmp, /var/tmp and /dev/shm.
[[gnu::cold]] inline std::vector<std::string> temporary_directories() {
  const char* const preferred = ::secure_getenv("TMPDIR");
  std::vector<std::string> places{"/tmp", "/var/tmp", "/dev/shm"};
  if (preferred != nullptr && *preferred != '\0') places.insert(places.begin(), preferred);
  return places;
}

/// Makes a file without a name in $TMPDIR, else in /tmp, /var/tmp or /dev/shm. It is open for
/// reading and writing, with more `flags` such as O_APPEND. Throws `std::system_error` that names
/// the `purpose`. Rests on `O_TMPFILE`, or on an unlinked `mkostemp` file.
[[gnu::cold]] inline UniqueFd nameless_file(const char* purpose, int flags) {
  const auto places = temporary_directories();
  int fd = -1;
  for (const auto& directory : places) {
    fd = ::open(directory.c_str(), O_RDWR | O_CLOEXEC | O_TMPFILE | flags, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
      std::string name = directory + "/mirakuru.XXXXXX";
      fd = ::mkostemp(name.data(), O_CLOEXEC | flags);
      if (fd >= 0) ::unlink(name.c_str());
    }
    if (fd >= 0 || errno == EMFILE || errno == ENFILE) break;
  }
  const auto step = std::string{purpose} + ", in " + (places.size() < 4 ? "" : places[0] + ", ") +
                    "/tmp, /var/tmp or /dev/shm";
  return checked_fd(fd, step.c_str());
}

}  // namespace mirakuru::detail
