// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <mirakuru/detail/config.hpp>
#include <mirakuru/detail/schedule.hpp>
#include <mirakuru/detail/unique_fd.hpp>
#include <mirakuru/process.hpp>

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

/// The wait of a check for something that happens to a file.
class Watch {
 public:
  virtual ~Watch() = default;

  /// Looks whether it is ready; for no longer than some milliseconds.
  [[nodiscard]] virtual Readiness look() = 0;
  /// True when the last look has left something to the next one.
  [[nodiscard]] virtual bool more() const noexcept { return false; }
  /// The looks from here on are to see no more than what is there now.
  virtual void close() {}
  /// How long it needs no look unless something changes, when it has been waited for so long.
  [[nodiscard]] virtual std::chrono::nanoseconds pause(std::chrono::nanoseconds waited) const = 0;

  /// What turns readable when something changes; -1 when only the pause counts.
  [[nodiscard]] int event() const noexcept { return resting_ ? -1 : changes_.event(); }

  [[nodiscard]] FileChanges& changes() noexcept { return changes_; }

 protected:
  /// Counts a look. Each of the first changes is looked at as it comes. When they keep coming, to
  /// be told of all of them would slow down who makes them as well: then the pause is short, and
  /// its end is what is waited for.
  void count_look();
  [[nodiscard]] bool resting() const noexcept { return resting_; }

  FileChanges changes_;

 private:
  Clock::time_point burst_began_ = {};
  int looks_ = 0;  // since then
  bool resting_ = false;
};

/// The wait for what happens at a path.
class PathWatch : public Watch {
 public:
  /// An empty path is nowhere.
  explicit PathWatch(std::string path) : path_{std::move(path)} {}

  [[nodiscard]] Readiness look() override;
  [[nodiscard]] std::chrono::nanoseconds pause(std::chrono::nanoseconds waited) const override;

 protected:
  /// When something last happened there; the wait's begin if nothing has.
  [[nodiscard]] Clock::time_point changed_at() const noexcept { return changed_at_; }

 private:
  [[nodiscard]] virtual Readiness ask() = 0;

  std::string path_;
  bool followed_ = false;
  Clock::time_point changed_at_ = Clock::now();
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/impl/watch.ipp>
#endif
