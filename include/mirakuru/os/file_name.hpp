// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>
#include <unistd.h>
#include <climits>
#include <concepts>
#include <stdexcept>
#include <string>
#include <string_view>
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

// A temporary directory that may be removed has a lock file beside it, which its users have locked.
// Nothing within the directory can change that.

inline constexpr std::string_view temp_dir_prefix = "mirakuru-", lock_ending = ".lock";

/// The lock file of a temporary directory.
[[nodiscard]] inline std::string lock_path_of(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path + std::string{lock_ending};
}

/// True for a `TempDir` that is kept: it has no lock file.
[[nodiscard]] inline bool is_kept(const std::string& path) {
  const auto lock = lock_path_of(path);
  return std::string_view{lock}.substr(lock.rfind('/') + 1).starts_with(temp_dir_prefix) &&
         ::access(lock.c_str(), F_OK) != 0;
}

}  // namespace detail
}  // namespace mirakuru
