// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <mirakuru/os/clock.hpp>
#include <mirakuru/text/line_matcher.hpp>
#include <mirakuru/text/pattern.hpp>

namespace mirakuru {

/// Searches a text for a matching line. The text comes in pieces, cut anywhere. The search reads
/// each byte once, and stores at most an unfinished line of a callable.
class LineSearch {
 public:
  /// The longest line in bytes that a callable gets. A longer line comes in pieces, and each piece
  /// begins with the second half of the one before.
  static constexpr std::size_t longest_line = 256 * 1024;

  /// The matcher must outlive the search.
  explicit LineSearch(const LineMatcher& matcher);

  /// Reads the next piece of the text, and returns the number of bytes read. A slow search stops at
  /// `until`, but reads at least about one line.
  std::size_t take(std::string_view piece, detail::Clock::time_point until = never);
  /// True if a line has matched. An unfinished last line counts as if it ended here, so the answer
  /// can become false again.
  [[nodiscard]] bool found();
  /// True if a line has matched and no later byte can undo it.
  [[nodiscard]] bool found_for_good() const noexcept {
    return pattern_ ? pattern_->found_for_good() : found_;
  }
  /// Calls `take`, then `found`.
  bool feed(std::string_view piece) {
    take(piece);
    return found();
  }
  /// Begins a new text.
  void restart();

 private:
  static constexpr auto never = detail::Clock::time_point::max();

  void take_text(std::string_view piece);
  std::size_t take_for_callable(std::string_view piece, detail::Clock::time_point until);
  [[nodiscard]] bool call(std::string_view line) const;

  const LineMatcher* matcher_;
  std::optional<detail::PatternSearch> pattern_;
  std::string kept_;  // the end of the text so far, in which a match may begin
  bool found_ = false, found_so_far_ = false;
  bool grown_ = false;  // the last line has grown since the callable got it
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/text/line_search.ipp>
#endif
