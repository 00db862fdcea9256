// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <mirakuru/os/config.hpp>

namespace mirakuru {

namespace detail {
class Pattern;
}

/// What a line is looked through for: a regular expression, or a callable of your own.
///
/// An expression is found anywhere in a line, `^` and `$` being the line's ends; one without
/// special characters is a text that is searched for as such. A line ends with "\n" or "\r\n".
/// Bytes are bytes: nothing is decoded. text/pattern.hpp has the syntax and its limits. Throws
/// `std::invalid_argument` for a wrong or an empty one.
class LineMatcher {
 public:
  LineMatcher(const std::string& expression);
  LineMatcher(const char* expression) : LineMatcher{std::string{expression}} {}

  /// Called with each line, without its end, as `matches(std::string_view)`; true if it is the one.
  /// A line without an end is handed out when all that there is has been read, and anew when it
  /// has grown.
  template <std::predicate<std::string_view> Matcher>
    requires(!std::is_convertible_v<Matcher, std::string> &&
             !std::same_as<std::remove_cvref_t<Matcher>, LineMatcher>)
  LineMatcher(Matcher matches)
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

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/text/line_search.hpp>
#endif
