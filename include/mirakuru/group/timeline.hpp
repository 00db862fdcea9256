// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/report/timeline.hpp>

namespace mirakuru {

/// The times of one member in a group's start.
struct MemberTimes {
  std::string name;                ///< its command
  std::vector<std::size_t> needs;  ///< places of other members
  TimePoint began = {};            ///< zero if it did not start
  Timeline start = {};
  std::vector<std::string> checks = {};  ///< their names
  TimePoint ready = {};                  ///< zero if it did not become ready
};

/// The times of a group's start, and drawings of them. The critical path is the chain of needs that
/// took the longest: each of its members began when the one before was ready.
struct GroupTimeline {
  std::vector<MemberTimes> members = {};

  /// The places of the members on the critical path, in order of time.
  [[nodiscard]] std::vector<std::size_t> critical_path() const;
  /// One line for each member, at most `width` columns for its times.
  [[nodiscard]] std::string text(std::size_t width = 40) const;
  /// A picture. Source: SVG 1.1.
  [[nodiscard]] std::string svg() const;
  /// Events for chrome://tracing and Perfetto. Source: Trace Event Format, JSON Object Format.
  [[nodiscard]] std::string chrome_trace() const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/group/timeline.ipp>
#endif
