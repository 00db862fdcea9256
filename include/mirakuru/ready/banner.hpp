// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include <mirakuru/detail/config.hpp>
#include <mirakuru/detail/line_search.hpp>
#include <mirakuru/output/streams.hpp>

namespace mirakuru {

class Process;
namespace detail {
class Race;
enum class Attempt;
}  // namespace detail

/// Ready when a line of the output matches.
///
/// Both streams are looked through unless one is named. A last line without an end counts, so a
/// prompt is found. A banner of a process that has ended since with 0 holds. Rests on inotify, and
/// on pauses that adapt where there is none. Needs an output policy that keeps the output.
struct BannerCheck {
  static constexpr bool outlives_process = true;
  static constexpr bool reads_output = true;

  LineMatcher pattern;
  Stream stream = Stream::both;

  /// What is waited for, as an executor's messages say it.
  [[nodiscard]] std::string describe() const;
};

namespace detail {

/// Enters the wait for the banner into `race`.
Attempt enter(Race& race, const BannerCheck* check, const Process& process);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/impl/banner.ipp>
#endif
