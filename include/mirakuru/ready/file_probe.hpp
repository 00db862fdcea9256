// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/file_changes.hpp>
#include <mirakuru/ready/probe.hpp>

namespace mirakuru {

/// The base of probes that files wake: they are polled when a file changes, and else once in a
/// while. Rests on inotify, and on pauses that adapt where there is none.
class ChangeProbe : public Probe {
 public:
  [[nodiscard]] bool pending() const noexcept override { return more_ || changes_.has_news(); }

 protected:
  explicit ChangeProbe(const Process& process)
      : process_{process}, changes_{process.context().changes} {}

  /// Counts a look. Each of the first changes is looked at as it comes. A stream of changes is
  /// looked at after short pauses: to be told of all would slow down the writer as well.
  void count_look(TimePoint now);
  /// Waits for a change and for `longest` at most; for a pause that adapts if nothing is followed.
  /// Does not wait if there is more input.
  void wait_for_change(TimePoint now, std::chrono::nanoseconds longest, WaitSet& waits) const;

  const Process& process_;
  detail::FileChanges::Follower changes_;
  bool following_ = false;
  bool more_ = false;  // the last look has left input that can be read at once

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

inline void ChangeProbe::count_look(TimePoint now) {
  using namespace std::chrono_literals;
  if (now - burst_began_ > 50ms) {
    burst_began_ = now;
    looks_ = 0;
  }
  ++looks_;
}

inline void ChangeProbe::wait_for_change(TimePoint now, std::chrono::nanoseconds longest,
                                         WaitSet& waits) const {
  constexpr int many_looks = 50;
  if (pending()) return waits.until(now);
  if (!following_)
    return waits.until(detail::after(now, detail::pause_after(process_.waited(now))));
  if (looks_ > many_looks) return waits.until(detail::after(now, detail::pause_after({})));
  waits.add(changes_.event());
  waits.until(detail::after(now, longest));
}

inline Readiness FileProbe::poll(TimePoint now) {
  count_look(now);
  changed_at_ = std::min(changed_at_, now);
  auto answer = look(now);
  if (answer) return answer;
  // The events are taken, and new places are followed, before the next look: no change falls in
  // between.
  bool news = changes_.drain();
  if (news) changed_at_ = now;
  if (!path_.empty() && (news || !following_)) following_ = changes_.follow_path(path_, news);
  return news ? look(now) : answer;
}

/// Some changes cause no event here, such as those by another machine.
inline void FileProbe::wait(TimePoint now, WaitSet& waits) const {
  wait_for_change(now, detail::pause_for_event(process_.waited(now)), waits);
}

}  // namespace mirakuru
