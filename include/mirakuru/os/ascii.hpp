// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>

// Classes of characters. Unlike <cctype>, no locale of the test changes them.

namespace mirakuru::detail {

constexpr bool is_between(char c, char first, char last) { return c >= first && c <= last; }

constexpr bool is_digit(char c) { return is_between(c, '0', '9'); }
constexpr bool is_lower(char c) { return is_between(c, 'a', 'z'); }
constexpr bool is_upper(char c) { return is_between(c, 'A', 'Z'); }
constexpr bool is_letter(char c) { return is_lower(c) || is_upper(c); }
constexpr bool is_letter_or_digit(char c) { return is_letter(c) || is_digit(c); }
constexpr bool is_hexadecimal(char c) {
  return is_digit(c) || is_between(c, 'a', 'f') || is_between(c, 'A', 'F');
}
/// A letter, a digit or an underscore.
constexpr bool is_word(char c) { return is_letter_or_digit(c) || c == '_'; }
constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }
constexpr bool is_space(char c) { return c == ' ' || is_between(c, '\t', '\r'); }
constexpr bool is_control(char c) { return c == 0x7f || static_cast<unsigned char>(c) < 0x20; }
constexpr bool is_graphic(char c) { return is_between(c, '!', '~'); }
constexpr bool is_printed(char c) { return is_between(c, ' ', '~'); }
constexpr bool is_punctuation(char c) { return is_graphic(c) && !is_letter_or_digit(c); }
/// True for a byte of a character beyond ASCII.
constexpr bool is_beyond_ascii(char c) { return static_cast<unsigned char>(c) >= 0x80; }

constexpr char to_lower(char c) { return is_upper(c) ? static_cast<char>(c + ('a' - 'A')) : c; }
constexpr char to_upper(char c) { return is_lower(c) ? static_cast<char>(c - ('a' - 'A')) : c; }

/// True if the texts differ at most in the case of letters.
constexpr bool equal_but_for_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  return true;
}

}  // namespace mirakuru::detail
