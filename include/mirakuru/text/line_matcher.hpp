// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <mirakuru/os/config.hpp>

namespace mirakuru {

class LineMatcher;

namespace detail {
class Pattern;

/// A `LineSearch` whose type is forgotten.
class TextSearch {
 public:
  template <class Search>
  explicit TextSearch(std::shared_ptr<Search> search)
      : search_{std::move(search)},
        take_{[](void* any, std::string_view piece) { static_cast<Search*>(any)->take(piece); }},
        found_{[](void* any) { return static_cast<Search*>(any)->found(); }},
        found_for_good_{[](void* any) { return static_cast<Search*>(any)->found_for_good(); }} {}

  void take(std::string_view piece) { take_(search_.get(), piece); }
  [[nodiscard]] bool found() { return found_(search_.get()); }
  [[nodiscard]] bool found_for_good() const { return found_for_good_(search_.get()); }

 private:
  std::shared_ptr<void> search_;
  void (*take_)(void* any, std::string_view piece);
  bool (*found_)(void* any), (*found_for_good_)(void* any);
};

/// The search of a matcher, which outlives it.
[[nodiscard]] TextSearch search_of(const LineMatcher& matcher);

}  // namespace detail

/// Says whether a line matches: by a regular expression, or by a callable of your own.
///
/// An expression matches anywhere in a line; `^` and `$` are the line's ends. An expression without
/// special characters is a plain text. A line ends with "\n" or "\r\n". The end counts as one "\n",
/// so that an expression may end in `\n` or `\s`; a callable does not get it. Lines are bytes. An
/// expression takes a UTF-8 character for one character.
class LineMatcher {
 public:
  /// Takes an expression in the syntax of text/pattern.hpp. Throws `std::invalid_argument` if it is
  /// wrong, empty, contains a newline, or can match no line.
  LineMatcher(const std::string& expression);
  LineMatcher(const char* expression) : LineMatcher{std::string{expression}} {}

  /// Takes a callable: `matches(std::string_view line)` is true for a line that matches. It gets
  /// each line without its end. It gets an unfinished line when all input is read, and again when
  /// the line has grown. An exception from it ends the start.
  ///
  /// Each search has a copy of its own, as it was given here: a callable that counts begins anew
  /// with each start and with each `wait_for()`. One that cannot be copied is shared by all.
  template <std::predicate<std::string_view> Matcher>
    requires(!std::is_convertible_v<Matcher, std::string> &&
             !std::same_as<std::remove_cvref_t<Matcher>, LineMatcher>)
  LineMatcher(Matcher matches)
      : callable_{std::make_shared<Matcher>(std::move(matches))},
        call_{[](void* callable, std::string_view line) -> bool {
          return (*static_cast<Matcher*>(callable))(line);
        }} {
    if constexpr (std::copy_constructible<Matcher>)
      copy_ = [](const void* callable) -> std::shared_ptr<void> {
        return std::make_shared<Matcher>(*static_cast<const Matcher*>(callable));
      };
  }

  /// The expression as given; empty for a callable.
  [[nodiscard]] const std::string& expression() const noexcept { return expression_; }
  /// A matcher for one search, with a copy of the callable; none if this one has no state to copy.
  [[nodiscard]] std::optional<LineMatcher> fresh() const {
    if (copy_ == nullptr) return {};
    std::optional own{*this};
    own->callable_ = copy_(callable_.get());
    return own;
  }
  /// A search for a line that matches. A program in which no matcher is made has no code for it.
  [[nodiscard]] detail::TextSearch search() const { return search_(*this); }

 private:
  friend class LineSearch;

  detail::TextSearch (*search_)(const LineMatcher&) = &detail::search_of;
  std::string expression_;
  std::shared_ptr<const detail::Pattern> pattern_;  // null if the expression is a plain text
  std::shared_ptr<void> callable_;
  bool (*call_)(void*, std::string_view) = nullptr;
  std::shared_ptr<void> (*copy_)(const void*) = nullptr;  // null for one that cannot be copied
};

namespace detail {

/// True if an output has the text of the expression as it is. Without a match, its special
/// characters may have been meant as plain text. False for an expression without any, and for a
/// callable.
[[nodiscard]] inline bool has_expression_as_text(const LineMatcher& matcher,
                                                 std::string_view output) {
  return matcher.expression().find_first_of("\\^$.|?*+()[]{}") != std::string::npos &&
         output.find(matcher.expression()) != std::string_view::npos;
}

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/text/line_matcher.ipp>
#endif
