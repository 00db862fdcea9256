// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <mirakuru/os/config.hpp>

namespace mirakuru {

/// Keeps a directory that takes long to make, such as a new database's, for later test programs of
/// the same user: in $XDG_CACHE_HOME/mirakuru/NAME or ~/.cache/mirakuru/NAME.
///
/// It is made under a lock and published by rename, so test programs that come at the same time
/// wait for the first one. A copy in which a file is missing, changed or another user's is made
/// anew. There is no cache if that place cannot be written or belongs to another user. Rests on
/// flock(2), and on FICLONE or copy_file_range(2).
class DirCache {
 public:
  /// `name`: of its own for each content, such as "postgres/15.3". `sources`: texts on which the
  /// content depends, such as the words of the command that makes it; the name gets a hash of them.
  /// Throws `std::invalid_argument` for an absolute name and for one with "..".
  explicit DirCache(const std::filesystem::path& name,
                    const std::vector<std::string>& sources = {});

  /// Fills a directory that does not exist yet. Copies it from the cache. If it is not there, calls
  /// `make`, which makes `directory` itself, and keeps a copy. On ext4 that is faster for
  /// directories with names of their own.
  ///
  /// `user`: the owner of the copy; empty: this process's user. Another one is for root alone.
  /// Returns true if it comes from the cache. An exception of `make` passes through. Throws
  /// `std::system_error` if `directory` exists. Other test programs are waited for at most
  /// `patience`; then it is made without the cache.
  bool fill(const std::filesystem::path& directory, const std::function<void()>& make,
            const std::string& user = "",
            std::chrono::nanoseconds patience = std::chrono::minutes{2}) const;
  /// Throws the kept copy away, as it has turned out to be of no use.
  void drop() const noexcept;

  /// The place of the kept copy, which need not exist; empty if there is no cache.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/kit/dir_cache.ipp>
#endif
