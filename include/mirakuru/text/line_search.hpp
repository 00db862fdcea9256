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

/// Looks for a line in a text that comes in pieces, wherever these are cut. Sees each byte once,
/// and keeps no more than a callable's unfinished line.
class LineSearch {
 public:
  /// A callable is handed the pieces of a line that is longer than this, each with half of the one
  /// before it.
  static constexpr std::size_t longest_line = 256 * 1024;

  /// The matcher must outlive the search.
  explicit LineSearch(const LineMatcher& matcher);

  /// Takes the next piece, or what of it there is time for until a moment; how many bytes. One line
  /// of it, or so, is always taken.
  std::size_t take(std::string_view piece, detail::Clock::time_point until = never);
  /// True once a line has matched, the last one as far as it has come.
  [[nodiscard]] bool found();
  /// True once a line has matched whatever follows.
  [[nodiscard]] bool found_for_good() const noexcept {
    return pattern_ ? pattern_->found_for_good() : found_;
  }
  /// Both.
  bool feed(std::string_view piece) {
    take(piece);
    return found();
  }
  /// Begins another text.
  void restart();

 private:
  static constexpr auto never = detail::Clock::time_point::max();

  void take_text(std::string_view piece);
  std::size_t take_for_callable(std::string_view piece, detail::Clock::time_point until);
  [[nodiscard]] bool call(std::string_view line) const;

  const LineMatcher* matcher_;
  std::optional<detail::PatternSearch> pattern_;
  std::string kept_;  // what a match may have begun in
  bool found_ = false, found_so_far_ = false;
  bool grown_ = false;  // since a callable was asked about the last line
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/text/line_search.ipp>
#endif
