// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>

#include <mirakuru/os/config.hpp>
#include <mirakuru/output/streams.hpp>
#include <mirakuru/text/line_matcher.hpp>

namespace mirakuru {

class Process;
namespace detail {
class Watch;
}

/// Ready when a line of the output matches.
///
/// Both streams are looked through unless one is named. A last line without an end counts, so a
/// prompt is found. A banner of a process that has ended since with 0 holds. Rests on inotify, and
/// on pauses that adapt where there is none. Needs an output policy that keeps the output.
struct BannerCheck {
  static constexpr bool valid_after_exit = true;
  static constexpr bool reads_output = true;

  LineMatcher pattern;
  Stream stream = Stream::both;

  /// What is waited for, as an executor's messages say it.
  [[nodiscard]] std::string describe() const;
  /// For executors: what they wait by.
  [[nodiscard]] std::unique_ptr<detail::Watch> watch(const Process& process) const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/banner.ipp>
#endif
