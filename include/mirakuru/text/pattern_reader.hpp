// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <mirakuru/os/printable.hpp>
#include <mirakuru/text/characters.hpp>

namespace mirakuru::detail {

/// Reads the small parts of a regular expression: characters, numbers and sets of characters.
class PatternReader {
 public:
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
    if (rest_.empty())
      refuse("an unfinished escape or bracket; write \\\\ or \\[ for the character");
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  [[noreturn]] void refuse(const std::string& problem) const {
    throw std::invalid_argument{"the regular expression '" + one_line(expression_) + "' has " +
                                one_line(problem)};
  }

  /// Reads a number. False if none comes next.
  bool number(int& value) {
    if (rest_.empty() || !is_digit(rest_[0])) return false;
    for (value = 0; !rest_.empty() && is_digit(rest_[0]); rest_.remove_prefix(1))
      value = std::min(value * 10 + (rest_[0] - '0'), most_repeats + 1);
    return true;
  }

  /// The set in brackets, after the opening one.
  Characters bracket() {
    const bool negated = take("^");
    Characters set;
    while (!take("]")) {
      if (take("[:")) {
        set |= named();
        continue;
      }
      const auto low = member();
      if (!rest_.starts_with('-') || rest_.starts_with("-]")) {
        set |= low.set;
        continue;
      }
      rest_.remove_prefix(1);
      const auto high = rest_.starts_with("[:") ? Member{} : member();
      if (low.number == Member::no_number || high.number == Member::no_number) {
        // A class begins and ends no range, so the hyphen is itself.
        set |= low.set;
        set |= Characters::only('-');
        set |= high.set;
      } else {
        add_range(set, low.number, high.number);
      }
    }
    if (ignore_case_) set.ignore_case();
    // The two halves of everything, as in [\d\D], are everything.
    if (set.all_beyond() && (set.bytes | ~Characters::ascii()).count() == 255) set.bytes.set('\n');
    return negated ? set.others() : set;
  }

  /// A character that stands for itself, or else a byte that is no character.
  Characters character() {
    const auto text = rest_;
    UTF8Place place = place_after(0, static_cast<unsigned char>(next()));
    for (; place != 0; place = place_after(place, static_cast<unsigned char>(next())))
      if (rest_.empty() || !continues_character(place, static_cast<unsigned char>(rest_[0]))) {
        rest_ = text.substr(1);
        return Characters::only(text[0]);
      }
    const auto size = text.size() - rest_.size();
    if (size == 1) return single(text[0]);
    int code = static_cast<unsigned char>(text[0]) & (0x7f >> size);
    for (std::size_t i = 1; i < size; ++i) code = code << 6 | (text[i] & 0x3f);
    return single(code);
  }

  /// The characters of an escape, after the backslash.
  Characters escape() {
    constexpr std::string_view names = "tnrfv0", meant{"\t\n\r\f\v\0", 6};
    if (rest_.empty()) refuse("a backslash at its end; write \\\\ for the character");
    if (is_beyond_ascii(rest_[0])) return character();
    const char c = next();
    if (c == 'd') return Characters::all(is_digit);
    if (c == 'D') return Characters::all(is_digit).others();
    if (c == 'w') return Characters::all(is_word);
    if (c == 'W') return Characters::all(is_word).others();
    if (c == 's') return Characters::all(is_space);
    if (c == 'S') return Characters::all(is_space).others();
    if (c == 'u') return single(code_unit());
    if (c == 'x')
      return single(static_cast<char>(
          hexadecimal(2, "\\x without two hexadecimal digits; write \\x1b for the escape")));
    if (c == 'c') {
      if (rest_.empty() || !is_letter(rest_[0])) refuse("\\c without a letter");
      return single(static_cast<char>(next() % 32));
    }
    if (is_digit(c) && !rest_.empty() && is_digit(rest_[0])) refuse_octal(c);
    if (const auto at = names.find(c); at != std::string_view::npos) return single(meant[at]);
    if (is_letter_or_digit(c)) refuse_escape(c);
    return single(c);
  }

 protected:
  Characters single(char c) const {
    auto set = Characters::only(c);
    if (ignore_case_) set.ignore_case();
    return set;
  }
  Characters single(int code) const {
    if (code < Characters::first_beyond) return single(static_cast<char>(code));
    return {.beyond = {{code, code}}};
  }

 private:
  /// An item of brackets. A number puts it into a range: of a character, or of a byte.
  struct Member {
    static constexpr int no_number = -1, first_byte = 0x110000;
    Characters set = {};
    int number = no_number;
  };

  Member member() {
    const bool ignored = std::exchange(ignore_case_, false);  // a range keeps its case
    Member member;
    if (take("\\b"))
      member.set = Characters::only('\b');
    else
      member.set = take("\\") ? escape() : character();
    ignore_case_ = ignored;
    const auto& [bytes, beyond, stray] = member.set;
    if (bytes.count() == 1 && beyond.empty()) {
      member.number = 0;
      while (!bytes[static_cast<std::size_t>(member.number)]) ++member.number;
      if (member.number >= Characters::first_beyond) member.number += Member::first_byte;
    } else if (bytes.none() && beyond.size() == 1 && stray.none()) {
      member.number = beyond[0].first;
    }
    return member;
  }

  void add_range(Characters& set, int low, int high) const {
    if (low > high) refuse("a range in the wrong order");
    const bool of_bytes = high >= Member::first_byte;
    if (of_bytes && low >= Characters::first_beyond && low < Member::first_byte)
      refuse("a range from a character to a byte");
    const auto last = of_bytes ? high - Member::first_byte : std::min(high, 0x7f);
    for (int c = low >= Member::first_byte ? low - Member::first_byte : low; c <= last; ++c)
      set.bytes.set(static_cast<std::size_t>(c));
    if (!of_bytes && high >= Characters::first_beyond)
      set.beyond.push_back({std::max(low, Characters::first_beyond), high});
  }

  /// A named class in brackets, like [:alpha:].
  Characters named() {
    constexpr std::pair<std::string_view, bool (*)(char)> classes[] = {
        {"alnum", is_letter_or_digit},
        {"alpha", is_letter},
        {"blank", is_blank},
        {"cntrl", is_control},
        {"digit", is_digit},
        {"graph", is_graphic},
        {"lower", is_lower},
        {"print", is_printed},
        {"punct", is_punctuation},
        {"space", is_space},
        {"upper", is_upper},
        {"xdigit", is_hexadecimal},
        {"d", is_digit},
        {"s", is_space},
        {"w", is_word}};
    for (const auto& [name, belongs] : classes)
      if (take(std::string{name} + ":]")) return Characters::all(belongs);
    refuse("an unknown class of characters");
  }

  /// The number after a \u. Two halves, each after a \u, are one character.
  int code_unit() {
    const std::string digits =
        "\\u without four hexadecimal digits; write \\u00e4, or the character itself";
    const int code = hexadecimal(4, digits);
    if (code < 0xd800 || code >= 0xe000) return code;
    const std::string half =
        "\\u with half a character; write both halves, or the character itself";
    if (code >= 0xdc00 || !take("\\u")) refuse(half);
    const int low = hexadecimal(4, digits);
    if (low < 0xdc00 || low >= 0xe000) refuse(half);
    return 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00));
  }

  /// Reads a number with exactly `digits` digits, and refuses others as `problem`.
  int hexadecimal(std::size_t digits, const std::string& problem) {
    const auto text = rest_.substr(0, digits);
    unsigned value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (text.size() < digits || result.ptr != text.data() + digits) refuse(problem);
    rest_.remove_prefix(digits);
    return static_cast<int>(value);
  }

  /// Refuses a number of several digits after a backslash.
  [[noreturn]] void refuse_octal(char first) const {
    std::string digits{first};
    unsigned value = static_cast<unsigned>(first - '0');
    for (std::size_t i = 0; i < 2 && i < rest_.size() && is_digit(rest_[i]); ++i) {
      digits += rest_[i];
      value = value * 8 + static_cast<unsigned>(rest_[i] - '0');
    }
    constexpr std::string_view hex = "0123456789abcdef";
    const std::string code{hex[value / 16 % 16], hex[value % 16]};
    if (first != '0' && digits.size() < 3) refuse_escape(first);
    refuse("the octal escape \\" + digits + "; write \\x" + code);
  }

  [[noreturn]] void refuse_escape(char c) const {
    constexpr std::pair<char, std::string_view> instead[] = {
        {'A', "write ^"},
        {'Z', "write $"},
        {'z', "write $"},
        {'G', "leave it out"},
        {'Q', "write \\ before each special character"},
        {'E', "write \\ before each special character"},
        {'e', "write \\x1b"},
        {'a', "write \\x07"},
        {'h', "write [ \\t]"},
        {'H', "write [^ \\t]"},
        {'R', "write \\r?\\n"},
        {'N', "write ."},
        {'X', "write ."},
        {'K', "leave it out"},
        {'p', "list the characters in brackets"},
        {'P', "list the characters in brackets"},
        {'k', "no back reference is supported, but a callable can compare"},
        {'B', "outside of brackets it is supported"},
        {'U', "write \\u and four digits, or the character itself"}};
    std::string advice = std::string{"write "} + c + " for the character";
    if (is_digit(c)) advice = "no back reference is supported, but a callable can compare";
    for (const auto& [name, way] : instead)
      if (name == c) advice = way;
    refuse(std::string{"the unsupported escape \\"} + c + "; " + advice);
  }

 protected:
  const std::string& expression_;
  std::string_view rest_;     // not read yet
  bool ignore_case_ = false;  // until the group ends
};

}  // namespace mirakuru::detail
