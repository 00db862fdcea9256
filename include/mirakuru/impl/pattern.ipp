// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cctype>
#include <stdexcept>

#include <mirakuru/detail/pattern.hpp>

namespace mirakuru::detail {

/// Walks over an ECMAScript expression and writes the POSIX one.
class PosixTranslation {
 public:
  explicit PosixTranslation(const std::string& expression) : rest_{expression} {}

  std::string run() {
    while (!rest_.empty()) {
      if (take("["))
        bracket();
      else if (take("\\"))
        escape();
      else if (take("(?:"))
        result_ += '(';
      else if (rest_.starts_with("(?"))
        refuse("(? with anything but : behind it");
      else if (take("*?") || take("+?") || take("??") || take("}?"))
        lazy();
      else
        result_ += next();
    }
    return result_;
  }

 private:
  /// What \d, \w and \s stand for inside brackets; empty for any other letter.
  static std::string_view members(char letter) {
    return letter == 'd' ? "0-9" : letter == 'w' ? "[:alnum:]_" : letter == 's' ? "[:space:]" : "";
  }

  /// The character that \t and its like stand for; NUL for any other letter.
  static char control(char letter) {
    constexpr std::string_view letters = "tnrfv", characters = "\t\n\r\f\v";
    const auto at = letters.find(letter);
    return at == std::string_view::npos ? '\0' : characters[at];
  }

  void escape() {
    const char c = next();
    const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (const auto set = members(lower); !set.empty())
      result_ += (c == lower ? "[" : "[^") + std::string{set} + ']';
    else if (control(c) != '\0')
      result_ += control(c);
    else if (c == 'b' || c == 'B' || !std::isalnum(static_cast<unsigned char>(c)))
      result_ += std::isalpha(static_cast<unsigned char>(c)) ||
                         std::string_view{"\\^$.|?*+()[]{}"}.find(c) != std::string_view::npos
                     ? std::string{'\\', c}
                     : std::string{c};
    else
      refuse(std::string{'\\', c});
  }

  void bracket() {
    result_ += take("^") ? "[^" : "[";
    if (rest_.starts_with("]")) refuse("empty brackets");
    while (!take("]")) {
      char c = next();
      const bool escaped = c == '\\';
      if (escaped) {
        c = next();
        if (!members(c).empty()) {
          result_ += members(c);
          continue;
        }
        if (control(c) != '\0')
          c = control(c);
        else if (std::isalnum(static_cast<unsigned char>(c)))
          refuse(std::string{'\\', c} + " in brackets");
      }
      // POSIX has no escapes here, but a way to write a character that would mean something.
      result_ += escaped || c == '[' ? "[." + std::string{c} + ".]" : std::string{c};
    }
    result_ += ']';
  }

  /// Lazy or greedy: what is found is found.
  void lazy() { result_ += expression_[expression_.size() - rest_.size() - 2]; }

  bool take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  char next() {
    if (rest_.empty()) refuse("an unfinished escape or bracket at its end");
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw std::invalid_argument{"the regular expression '" + std::string{expression_} + "' has " +
                                what + ", which is not supported"};
  }

  std::string_view rest_, expression_ = rest_;
  std::string result_;
};

MIRAKURU_DECL std::string to_posix(const std::string& expression) {
  return PosixTranslation{expression}.run();
}

MIRAKURU_DECL void Pattern::Free::operator()(regex_t* compiled) const noexcept {
  ::regfree(compiled);
  delete compiled;
}

MIRAKURU_DECL Pattern::Pattern(const std::string& expression) {
  auto compiled = std::make_unique<regex_t>();
  const auto posix = to_posix(expression);
  if (const int error = ::regcomp(compiled.get(), posix.c_str(), REG_EXTENDED | REG_NOSUB);
      error != 0) {
    char why[128];
    ::regerror(error, compiled.get(), why, sizeof why);
    throw std::invalid_argument{"the regular expression '" + expression + "' is wrong: " + why};
  }
  compiled_.reset(compiled.release());
}

MIRAKURU_DECL bool Pattern::found_in(std::string_view text) const {
  regmatch_t range{0, static_cast<regoff_t>(text.size())};
  return ::regexec(compiled_.get(), text.data(), 1, &range, REG_STARTEND) == 0;
}

}  // namespace mirakuru::detail
