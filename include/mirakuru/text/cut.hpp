// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

// Cuts of texts that may be UTF-8. Source: RFC 3629, section 3.

namespace mirakuru::detail {

/// True for a byte that continues a character.
constexpr bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

/// A text that has been cut at its end, without the character that is not whole.
[[nodiscard]] constexpr std::string_view without_half_end(std::string_view text) {
  std::size_t rest = 1;
  while (rest < 4 && rest < text.size() && continues(text[text.size() - rest])) ++rest;
  if (text.empty()) return text;
  const auto first = static_cast<unsigned char>(text[text.size() - rest]);
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
  return text.substr(0, text.size() - (length > rest ? rest : 0));
}

/// A text that has been cut at its begin, without the character that is not whole.
[[nodiscard]] constexpr std::string_view without_half_begin(std::string_view text) {
  std::size_t rest = 0;
  while (rest < 3 && rest < text.size() && continues(text[rest])) ++rest;
  return text.substr(rest);
}

/// The text, or its first `most` bytes with " [...]" behind them.
[[nodiscard]] inline std::string shortened(const std::string& text, std::size_t most) {
  if (text.size() <= most) return text;
  return std::string{without_half_end({text.data(), most})} + " [...]";
}

}  // namespace mirakuru::detail
