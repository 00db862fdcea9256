// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>
#include <string>

#include <mirakuru/output/capture.hpp>

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
  return checked_fd(fd, "a temporary file for the output");
}

}  // namespace detail

MIRAKURU_DECL OutputStreams Capture::open() const {
  OutputFile out{detail::nameless_file()};
  return {std::move(out), OutputFile{detail::nameless_file()}};
}

}  // namespace mirakuru
