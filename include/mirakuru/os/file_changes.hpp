// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru::detail {

/// The kernel's events for changes to files: one inotify instance for all that follow files.
///
/// The kernel grants each user few instances. The first follower opens one; without one, nothing is
/// followed. Rests on inotify(7).
class FileChanges {
 public:
  class Follower;

  FileChanges() = default;
  FileChanges(FileChanges&&) noexcept = default;
  FileChanges& operator=(FileChanges&&) noexcept = default;
  ~FileChanges() { close(); }

  /// Drops the watches of followers that are gone, which takes some ten microseconds each.
  void drop_unused();
  /// Closes the instance. The kernel takes milliseconds for that right after a watch was dropped.
  void close() noexcept;
  /// True when so many instances are open in this process that each should be closed soon.
  [[nodiscard]] static bool too_many_open() noexcept;

 private:
  struct Watch {
    int number;
    std::string name;
    Follower* follower;  // null: it is gone
  };

  bool open();
  void read_events();

  UniqueFd inotify_;
  std::vector<Watch> watches_;
};

/// Follows the changes to some files.
class FileChanges::Follower {
 public:
  /// `changes` may be null: then nothing is followed. It must outlive the follower.
  explicit Follower(FileChanges* changes) noexcept : changes_{changes} {}
  ~Follower();
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  /// Follows one more file or directory by inotify's `mask`. In a directory only changes to `name`
  /// count; all do if it is empty. Returns false when it cannot be followed. Sets `news` when it is
  /// followed from now on.
  bool follow(const std::string& path, std::uint32_t mask, const std::string& name, bool& news);
  /// Follows a path that may not exist yet: the file and its place in its directory, or the first
  /// directory on the way that is missing. Follows the target of a symbolic link, too.
  bool follow_path(std::string path, bool& news);
  /// Takes the events so far, or many of them. Returns true if there was one that counts.
  bool drain();

  /// True when another follower's drain() has found news for this one.
  [[nodiscard]] bool has_news() const noexcept { return news_; }
  /// A descriptor that becomes readable with the next event; -1 for none.
  [[nodiscard]] int event() const noexcept { return changes_ ? changes_->inotify_.get() : -1; }

 private:
  friend class FileChanges;

  FileChanges* changes_;
  bool news_ = false;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/os/file_changes.ipp>
#endif
