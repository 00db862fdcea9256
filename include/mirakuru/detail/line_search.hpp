// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <mirakuru/detail/pattern.hpp>

namespace mirakuru {

/// What a line is looked through for: a regular expression, or a callable of your own.
///
/// An expression is found anywhere in a line, `^` and `$` being the line's ends; one without
/// special characters is a text that is searched for as such. Bytes are bytes: nothing is decoded.
/// detail/pattern.hpp has the syntax. Throws `std::invalid_argument` for a wrong or an empty one.
class LineMatcher {
 public:
  LineMatcher(const std::string& expression);  // NOLINT(*-explicit-*)
  LineMatcher(const char* expression)
      : LineMatcher{std::string{expression}} {}  // NOLINT(*-explicit-*)

  /// Called with each line, without its end, as `matches(std::string_view)`; true if it is the one.
  /// A line without an end is handed out whenever it has grown.
  template <std::predicate<std::string_view> Matcher>
    requires(!std::is_convertible_v<Matcher, std::string> &&
             !std::same_as<std::remove_cvref_t<Matcher>, LineMatcher>)
  LineMatcher(Matcher matches)  // NOLINT(*-explicit-*)
      : callable_{std::make_shared<Matcher>(std::move(matches))},
        call_{[](void* callable, std::string_view line) -> bool {
          return (*static_cast<Matcher*>(callable))(line);
        }} {}

  /// As it was given; empty for a callable.
  [[nodiscard]] const std::string& expression() const noexcept { return expression_; }

 private:
  friend class LineSearch;

  std::string expression_;
  std::shared_ptr<const detail::Pattern> pattern_;  // none: the expression is a text
  std::shared_ptr<void> callable_;
  bool (*call_)(void*, std::string_view) = nullptr;
};

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
