// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <poll.h>
#include <cstddef>
#include <span>
#include <vector>

#include <mirakuru/os/clock.hpp>

namespace mirakuru {

/// Descriptors and a moment to wait for: a wait ends with whichever comes first. Afterwards the set
/// tells which descriptors are ready. It does not own them.
class WaitSet {
 public:
  /// Adds a descriptor and the poll(2) events that it waits for; -1 is never ready. Returns its
  /// place in the set.
  std::size_t add(int fd, short events = POLLIN) {
    descriptors_.push_back({.fd = fd, .events = events, .revents = 0});
    return descriptors_.size() - 1;
  }
  /// Adds all that `other` waits for. Returns the place of the first descriptor.
  std::size_t add(const WaitSet& other) {
    until(other.deadline_);
    const auto place = size();
    for (const auto& event : other.descriptors_) descriptors_.push_back(event);
    return place;
  }
  /// The wait ends at this moment at the latest.
  void until(TimePoint moment) noexcept {
    if (moment < deadline_) deadline_ = moment;
  }
  /// There is nothing to wait for: who waits comes back with the time of the day.
  void again() noexcept { deadline_ = TimePoint::min(); }
  void clear() noexcept {
    descriptors_.clear();
    deadline_ = TimePoint::max();
  }

  /// Asks now which descriptors are ready. True if one is. Rests on poll(2).
  bool ask() noexcept {
    return !descriptors_.empty() && ::poll(descriptors_.data(), descriptors_.size(), 0) > 0;
  }
  /// True when one of the `count` descriptors from `place` on has been ready after the wait.
  [[nodiscard]] bool ready(std::size_t place, std::size_t count = 1) const noexcept {
    for (; count > 0 && place < size(); ++place, --count)
      if (descriptors_[place].revents != 0) return true;
    return false;
  }
  /// Takes over the events of its descriptors from a set that it was added to at `place`.
  void take_events(const WaitSet& all, std::size_t place) noexcept {
    for (std::size_t i = 0; i < size() && place + i < all.size(); ++i)
      descriptors_[i].revents = all.descriptors_[place + i].revents;
  }
  /// The moment that the wait ends at; `TimePoint::max()` for none.
  [[nodiscard]] TimePoint deadline() const noexcept { return deadline_; }
  [[nodiscard]] bool wants_no_wait() const noexcept { return deadline_ == TimePoint::min(); }
  [[nodiscard]] std::size_t size() const noexcept { return descriptors_.size(); }
  /// For wait loops, which fill in `revents`.
  [[nodiscard]] std::span<pollfd> descriptors() noexcept { return descriptors_; }

 private:
  std::vector<pollfd> descriptors_;
  TimePoint deadline_ = TimePoint::max();
};

}  // namespace mirakuru
