// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>
#include <string>
#include <string_view>

// The names of temporary directories. One that may be removed has a lock file beside it, which its
// users have locked; nothing within the directory can change that.

namespace mirakuru::detail {

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

}  // namespace mirakuru::detail
