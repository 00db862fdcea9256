// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <string>
#include <utility>

#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/os/file_changes.hpp>
#include <mirakuru/ready/probe.hpp>

namespace mirakuru {

/// The base of probes that files wake: they are polled when a file changes, and else once in a
/// while. Rests on inotify, and on pauses that adapt where there is none.
class ChangeProbe : public Probe {
 public:
  [[nodiscard]] bool pending() const noexcept override { return changes_.has_news(); }

 protected:
  explicit ChangeProbe(const Process& process)
      : process_{process}, changes_{process.context().changes} {}

  /// Counts a look. Each of the first changes is looked at as it comes. A stream of changes is
  /// looked at after short pauses: to be told of all would slow down the writer as well.
  void count_look(TimePoint now);
  /// Waits for a change and for `longest` at most; for a pause that adapts if nothing is followed.
  void wait_for_change(TimePoint now, std::chrono::nanoseconds longest, WaitSet& waits) const;

  const Process& process_;
  detail::FileChanges::Follower changes_;
  bool following_ = false;

 private:
  TimePoint burst_began_ = {};
  int looks_ = 0;  // since then
};

/// The base of probes for a file: a derived class says by look() whether the file is as it should
/// be. The path may not exist yet, and may have symbolic links in it.
class FileProbe : public ChangeProbe {
 public:
  [[nodiscard]] Readiness poll(TimePoint now) override;
  void wait(TimePoint now, WaitSet& waits) const override;

 protected:
  /// `path` is relative to the test's own directory; an empty one is nowhere.
  FileProbe(const Process& process, std::string path)
      : ChangeProbe{process}, path_{std::move(path)} {}

  /// Looks at the file; never blocks.
  [[nodiscard]] virtual Readiness look(TimePoint now) = 0;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// When something last happened at the path; the first poll if nothing has.
  [[nodiscard]] TimePoint changed_at() const noexcept { return changed_at_; }

 private:
  std::string path_;
  TimePoint changed_at_ = TimePoint::max();
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/file_probe.ipp>
#endif
