// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include <mirakuru/os/config.hpp>
#include <mirakuru/output/streams.hpp>
#include <mirakuru/ready/probe.hpp>
#include <mirakuru/text/line_matcher.hpp>

namespace mirakuru {

/// Ready when a line of the output matches.
///
/// Colours are left out, and a lone carriage return ends a line, too. The check searches both
/// streams unless `stream` names one. A last line without an end counts, so
/// a prompt is found. The banner of a process that has ended with 0 counts, too. It needs an output
/// policy that keeps the output. Rests on inotify, and on pauses that adapt where there is none.
struct BannerCheck {
  static constexpr bool valid_after_exit = true;
  static constexpr bool reads_output = true;

  LineMatcher pattern;
  Stream stream = Stream::both;
  /// Ready at this one of the lines that match; of both streams together.
  std::size_t times = 1;

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const;
  /// Asked after a time-out: a stream that is empty may be buffered, and the first megabyte may
  /// have the text of the pattern as it is. In a `wait_for()` an earlier line may match.
  [[nodiscard]] std::string hint(const Process& process) const;
  /// The first line of the output that matches; empty for none.
  [[nodiscard]] std::string quote(const Process& process) const;
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/file/banner.ipp>
#endif
