// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <mirakuru/detail/line_matcher.hpp>
#include <mirakuru/detail/pattern.hpp>

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

  /// Takes the next piece. True once a line has matched, the last one as far as it has come.
  bool feed(std::string_view piece);

 private:
  bool feed_text(std::string_view piece);
  bool feed_callable(std::string_view piece);
  [[nodiscard]] bool call(std::string_view line) const;

  const LineMatcher* matcher_;
  std::optional<detail::PatternSearch> pattern_;
  std::string kept_;  // what a match may have begun in
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/impl/line_search.ipp>
#endif
