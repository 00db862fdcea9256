// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <regex.h>
#include <memory>
#include <string>
#include <string_view>

#include <mirakuru/detail/config.hpp>

namespace mirakuru::detail {

/// A regular expression, searched for. The system's engine runs it: it is there without
/// `<regex>`'s second of compile time, and its stack does not grow with the text.
///
/// The syntax is the common part of ECMAScript's and POSIX's extended one, with ECMAScript's
/// `\d \D \w \W \s \S \b \B`, `(?:...)` and lazy quantifiers, which find the same texts as greedy
/// ones do. Look-ahead has no counterpart. Throws `std::invalid_argument` for what is not of that
/// form. Rests on `regcomp` and `regexec`.
class Pattern {
 public:
  explicit Pattern(const std::string& expression);

  /// True when the expression is found anywhere in `text`.
  [[nodiscard]] bool found_in(std::string_view text) const;

 private:
  struct Free {
    void operator()(regex_t* compiled) const noexcept;
  };
  std::unique_ptr<regex_t, Free> compiled_;
};

/// `expression` in the syntax of POSIX's extended regular expressions.
[[nodiscard]] std::string to_posix(const std::string& expression);

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/impl/pattern.ipp>
#endif
