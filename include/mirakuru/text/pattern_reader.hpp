// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <bitset>
#include <cctype>
#include <charconv>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace mirakuru::detail {

/// Reads the small parts of a regular expression: characters, numbers and sets of bytes.
class PatternReader {
 public:
  using Bytes = std::bitset<256>;
  static constexpr int most_repeats = 10'000;

  /// The expression must outlive the reader.
  explicit PatternReader(const std::string& expression)
      : expression_{expression}, rest_{expression} {}

  /// Skips `text`. False if something else comes next.
  bool take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  char next() {
    if (rest_.empty()) refuse("an unfinished escape or bracket");
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  [[noreturn]] void refuse(const std::string& problem) const {
    throw std::invalid_argument{"the regular expression '" + expression_ + "' has " + problem};
  }

  /// Reads a number. False if none comes next.
  bool number(int& value) {
    if (rest_.empty() || !is(::isdigit, rest_[0])) return false;
    for (value = 0; !rest_.empty() && is(::isdigit, rest_[0]); rest_.remove_prefix(1))
      value = std::min(value * 10 + (rest_[0] - '0'), most_repeats + 1);
    return true;
  }

  /// The set in brackets, after the opening one.
  Bytes bracket() {
    const bool negated = take("^");
    Bytes bytes;
    while (!take("]")) {
      if (take("[:")) {
        bytes |= named();
        continue;
      }
      const auto low = member();
      if (rest_.starts_with('-') && !rest_.starts_with("-]")) {
        rest_.remove_prefix(1);
        const auto high = member();
        if (low.count() != 1 || high.count() != 1)
          refuse("a range that begins or ends with a class");
        std::size_t i = 0;
        while (!low[i]) ++i;
        do {
          if (i == bytes.size()) refuse("a range in the wrong order");
          bytes.set(i);
        } while (!high[i++]);
      } else {
        bytes |= low;
      }
    }
    return negated ? (~bytes).reset('\n') : bytes;
  }

  Bytes member() {
    if (take("\\b")) return only('\b');
    if (take("\\u")) {
      const auto code = code_unit();
      if (code >= 0x80) refuse("\\u beyond ASCII in brackets");
      return only(static_cast<char>(code));
    }
    return take("\\") ? escape() : only(next());
  }

  /// A named class in brackets, like [:alpha:].
  Bytes named() {
    constexpr std::pair<std::string_view, int (*)(int)> classes[] = {
        {"alnum", ::isalnum}, {"alpha", ::isalpha}, {"blank", ::isblank}, {"cntrl", ::iscntrl},
        {"digit", ::isdigit}, {"graph", ::isgraph}, {"lower", ::islower}, {"print", ::isprint},
        {"punct", ::ispunct}, {"space", ::isspace}, {"upper", ::isupper}, {"xdigit", ::isxdigit},
        {"d", ::isdigit},     {"s", ::isspace}};
    for (const auto& [name, belongs] : classes)
      if (take(std::string{name} + ":]")) return all(belongs);
    if (take("w:]")) return word();
    refuse("an unknown class of characters");
  }

  /// The bytes of an escape, after the backslash.
  Bytes escape() {
    constexpr std::string_view names = "tnrfv0", meant{"\t\n\r\f\v\0", 6};
    const char c = next();
    if (c == 'd') return all(::isdigit);
    if (c == 'D') return ~all(::isdigit).set('\n');
    if (c == 'w') return word();
    if (c == 'W') return ~word().set('\n');
    if (c == 's') return all(::isspace);
    if (c == 'S') return ~all(::isspace);
    if (c == 'x')
      return only(static_cast<char>(hexadecimal(2, "\\x without two hexadecimal digits")));
    if (c == 'c') {
      if (rest_.empty() || !is(::isalpha, rest_[0])) refuse("\\c without a letter");
      return only(static_cast<char>(next() % 32));
    }
    if (c == '0' && !rest_.empty() && is(::isdigit, rest_[0])) refuse("\\0 before a digit");
    if (const auto at = names.find(c); at != std::string_view::npos) return only(meant[at]);
    if (is(::isalnum, c)) refuse(std::string{"the unsupported escape \\"} + c);
    return only(c);
  }

  /// The number after a \u.
  int code_unit() {
    const int code = hexadecimal(4, "\\u without four hexadecimal digits");
    if (code >= 0xd800 && code < 0xe000) refuse("\\u with half a character");
    return code;
  }

  /// Reads a number with exactly `digits` digits, and refuses others as `problem`.
  int hexadecimal(std::size_t digits, const char* problem) {
    const auto text = rest_.substr(0, digits);
    unsigned value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (text.size() < digits || result.ptr != text.data() + digits) refuse(problem);
    rest_.remove_prefix(digits);
    return static_cast<int>(value);
  }

  static bool is(int (*belongs)(int), char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 128 && belongs(byte) != 0;  // no locale changes the rest
  }
  static Bytes all(int (*belongs)(int)) {
    Bytes bytes;
    for (int c = 0; c < 128; ++c) bytes[static_cast<std::size_t>(c)] = belongs(c) != 0;
    return bytes;
  }
  static Bytes word() { return all(::isalnum).set('_'); }
  static Bytes only(char c) { return Bytes{}.set(static_cast<unsigned char>(c)); }

 protected:
  const std::string& expression_;
  std::string_view rest_;  // not read yet
};

}  // namespace mirakuru::detail
