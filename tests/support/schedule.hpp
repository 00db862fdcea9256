// SPDX-License-Identifier: BSL-1.0
// Walks through a schedule of signals with invented times.

#pragma once

#include <chrono>
#include <initializer_list>
#include <span>
#include <string>

#include <mirakuru/stop/schedule.hpp>

namespace test {

using TimePoint = mirakuru::detail::Clock::time_point;

// The beginning of an invented stop.
inline constexpr TimePoint stop_begin{std::chrono::hours{100}};

// The steps of a schedule that is asked at each of its times: "15@0 9@10000 over@20000", in
// milliseconds from stop_begin. The end of time is "never".
inline std::string walk(mirakuru::detail::SignalSchedule schedule, TimePoint now = stop_begin) {
  std::string text;
  const auto add = [&](const std::string& what) {
    using std::chrono::milliseconds;
    const auto ms = std::chrono::duration_cast<milliseconds>(now - stop_begin).count();
    text += what + '@' + (now == TimePoint::max() ? "never" : std::to_string(ms));
  };
  for (int times = 0; times < 100; ++times) {
    while (const int signal = schedule.due(now).signal) {
      add(std::to_string(signal));
      text += ' ';
    }
    if (schedule.over(now)) {
      add("over");
      return text;
    }
    now = schedule.next();
  }
  return text + "without end";
}

inline std::string walk(std::span<const mirakuru::SignalStep> steps,
                        std::chrono::nanoseconds budget) {
  return walk(mirakuru::detail::SignalSchedule{steps, budget, stop_begin});
}

inline std::string walk(std::initializer_list<mirakuru::SignalStep> steps,
                        std::chrono::nanoseconds budget) {
  return walk(std::span{steps.begin(), steps.size()}, budget);
}

}  // namespace test
