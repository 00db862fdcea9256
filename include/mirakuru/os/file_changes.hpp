// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru::detail {

/// What the kernel tells of changes to files. It grants each user few inotify instances: without
/// one, nothing is followed.
class FileChanges {
 public:
  FileChanges();

  enum class Followed { not_at_all, as_before, from_now_on };
  /// Follows one file or directory more, which does not change anything for the others. Of a
  /// directory, what happens to `name` in it counts; to all in it if that is empty.
  Followed follow(const std::string& path, std::uint32_t mask, std::string name = {});
  /// Follows what may come to be at a path: the file, and its place in its directory, or that of
  /// the first directory on the way that is missing; where it is a symbolic link, its target's as
  /// well.
  Followed follow_path(std::string path);
  /// Forgets the changes so far, or many of them. True if there have been some that count.
  bool drain();

  [[nodiscard]] int event() const noexcept { return inotify_.get(); }
  /// Follows nothing any more, which takes some ten microseconds a file. This is to be destroyed a
  /// while later: right after its last watch is gone, the kernel takes milliseconds to close an
  /// inotify instance.
  void unfollow();

 private:
  struct Watched {
    int watch;
    std::string name;
  };

  UniqueFd inotify_;
  std::vector<Watched> watches_;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/os/file_changes.ipp>
#endif
