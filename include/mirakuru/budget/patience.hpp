// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

#include <mirakuru/os/clock.hpp>

namespace mirakuru::detail {

/// Says when "still waiting" is due: 5 s after the begin, then after twice as long each time. Reads
/// no clock.
class Patience {
 public:
  explicit Patience(TimePoint begin = TimePoint::max()) noexcept : begin_{begin} {}

  /// True if a report is due at `now`; once, however late.
  [[nodiscard]] bool over(TimePoint now) noexcept {
    const bool result = now >= next();
    while (now >= next()) span_ *= 2;
    return result;
  }
  /// The moment of the next report; `TimePoint::max()` before the begin is known.
  [[nodiscard]] TimePoint next() const noexcept { return after(begin_, span_); }

 private:
  TimePoint begin_;
  std::chrono::nanoseconds span_ = std::chrono::seconds{5};
};

}  // namespace mirakuru::detail
