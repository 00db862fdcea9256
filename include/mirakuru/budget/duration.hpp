// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <stdexcept>

namespace mirakuru {

/// A span of time, in nanoseconds, from a span of any unit. One that is too long for nanoseconds is
/// the longest, about 292 years: `std::chrono::hours::max()` is for ever.
class Duration : public std::chrono::nanoseconds {
 public:
  constexpr Duration() noexcept : duration{} {}
  template <class Rep, class Period>
  constexpr Duration(std::chrono::duration<Rep, Period> span) noexcept
      : duration{saturated(span)} {}

 private:
  template <class Rep, class Period>
  static constexpr duration saturated(std::chrono::duration<Rep, Period> span) noexcept {
    // The limits are inexact as a double, by less than a microsecond in 292 years.
    constexpr std::chrono::duration<double> limit = max();
    const std::chrono::duration<double> seconds = span;
    if (!(seconds < limit)) return max();
    if (seconds <= -limit) return min();
    return std::chrono::duration_cast<duration>(span);
  }
};

/// A time limit. Throws `std::invalid_argument` for a negative one.
class TimeLimit : public Duration {
 public:
  constexpr TimeLimit() noexcept = default;
  template <class Rep, class Period>
  constexpr TimeLimit(std::chrono::duration<Rep, Period> span) : Duration{span} {
    if (count() < 0) throw std::invalid_argument{"a time limit is negative"};
  }
};

}  // namespace mirakuru
