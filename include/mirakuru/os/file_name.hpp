// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>
#include <unistd.h>
#include <climits>
#include <concepts>
#include <stdexcept>
#include <string>
#include <utility>

#include <mirakuru/os/printable.hpp>
#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru {

/// The name of a file, relative to the working directory of the test.
class FileName {
 public:
  /// Throws `std::invalid_argument` for an empty name and for a name with a NUL byte.
  FileName(std::string name) : name_{std::move(name)} {
    if (name_.empty() || name_.find('\0') != std::string::npos)
      throw std::invalid_argument{"not a file name: '" + detail::one_line(name_) + "'"};
  }
  /// Takes a literal, a `std::filesystem::path`, and any other value that converts to a string.
  template <std::convertible_to<std::string> Text>
  FileName(const Text& name) : FileName{static_cast<std::string>(name)} {}

  /// The name as given.
  [[nodiscard]] const std::string& str() const noexcept { return name_; }

 private:
  std::string name_;
};

namespace detail {

/// The path from the root, for a process with another working directory. Throws
/// `std::system_error`.
[[nodiscard]] inline std::string absolute_path(const std::string& path) {
  if (path.starts_with('/')) return path;
  char directory[PATH_MAX];
  if (::getcwd(directory, sizeof directory) == nullptr) throw_errno("getcwd");
  return std::string{directory} + '/' + path;
}

/// Makes a directory and those above it that are missing. Throws `std::system_error`.
inline void make_directories(const std::string& path) {
  for (std::size_t end = 0; end != path.npos;) {
    end = path.find('/', end + 1);
    const auto part = path.substr(0, end);
    if (::mkdir(part.c_str(), 0777) != 0 && errno != EEXIST) throw_error(errno, "mkdir " + part);
  }
}

}  // namespace detail
}  // namespace mirakuru
