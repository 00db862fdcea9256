// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <string>
#include <utility>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/os/file_changes.hpp>
#include <mirakuru/process.hpp>

namespace mirakuru::detail {

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
#include <mirakuru/ready/watch.ipp>
#endif
