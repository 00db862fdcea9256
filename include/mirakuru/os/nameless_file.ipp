// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdlib>

#include <mirakuru/os/nameless_file.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL std::vector<std::string> temporary_directories() {
  const char* const preferred = ::secure_getenv("TMPDIR");
  std::vector<std::string> places{"/tmp", "/var/tmp", "/dev/shm"};
  if (preferred != nullptr && *preferred != '\0') places.insert(places.begin(), preferred);
  return places;
}

MIRAKURU_DECL UniqueFd nameless_file(const char* purpose, int flags) {
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
