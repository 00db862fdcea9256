// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/file_changes.hpp>
#include <mirakuru/ready/probe.hpp>

namespace mirakuru {

/// The base of probes for a file: a derived class says by look() whether the file is as it should
/// be. The path may not exist yet, and may have symbolic links in it.
///
/// A change of the file wakes the probe; it looks once in a while besides. Rests on inotify, and on
/// pauses that adapt where there is none.
class FileProbe : public Probe {
 public:
  // Not inline in the class, it would be the key function: each program would have the class.
  [[nodiscard]] inline Readiness poll(TimePoint now) override;
  void wait(TimePoint now, WaitSet& waits) const override {
    // Some changes cause no event here, such as those by another machine.
    wait_for_change(now, detail::pause_for_event(process_.waited(now)), waits);
  }
  [[nodiscard]] bool pending() const noexcept override { return more_ || changes_.has_news(); }

 protected:
  /// `path` is relative to the test's own directory; an empty one is nowhere.
  FileProbe(const Process& process, std::string path)
      : process_{process}, changes_{process.context().changes}, path_{std::move(path)} {}

  /// Looks at the file; never blocks.
  [[nodiscard]] virtual Readiness look(TimePoint now) = 0;
  /// Waits for a change and for `longest` at most; for a pause that adapts if nothing is followed.
  /// Does not wait if there is more input.
  void wait_for_change(TimePoint now, std::chrono::nanoseconds longest, WaitSet& waits) const;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// When something last happened at the path; the first poll if nothing has.
  [[nodiscard]] TimePoint changed_at() const noexcept { return changed_at_; }

  const Process& process_;
  detail::FileChanges::Follower changes_;
  bool following_ = false;
  bool more_ = false;  // the last look has left input that can be read at once

 private:
  std::string path_;
  TimePoint changed_at_ = TimePoint::max();
  TimePoint burst_began_ = {};
  int looks_ = 0;  // in this burst
};

inline void FileProbe::wait_for_change(TimePoint now, std::chrono::nanoseconds longest,
                                       WaitSet& waits) const {
  // To be told of each change in a stream of them would slow down the writer as well.
  constexpr int many_looks = 50;
  if (pending()) return waits.until(now);
  if (!following_)
    return waits.until(detail::after(now, detail::pause_after(process_.waited(now))));
  if (looks_ > many_looks) return waits.until(detail::after(now, detail::pause_after({})));
  waits.add(changes_.event());
  waits.until(detail::after(now, longest));
}

inline Readiness FileProbe::poll(TimePoint now) {
  if (now - burst_began_ > std::chrono::milliseconds{50}) burst_began_ = now, looks_ = 0;
  ++looks_;
  changed_at_ = std::min(changed_at_, now);
  auto answer = look(now);
  if (answer || more_) return answer;
  // The events are taken, and new places are followed, before the next look: no change falls in
  // between.
  bool news = changes_.drain();
  if (news) {
    changed_at_ = now;
    answer = look(now);  // to follow takes some time
    if (answer || more_) return answer;
  }
  if (!path_.empty() && (news || !following_)) following_ = changes_.follow_path(path_, news);
  return news ? look(now) : answer;
}

}  // namespace mirakuru
