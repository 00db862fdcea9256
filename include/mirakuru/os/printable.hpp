// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace mirakuru::detail {

/// `text` with an escape like "\n" or "\x00" in place of each control character, unless it is in
/// `kept`.
[[nodiscard]] inline std::string escaped(std::string_view text, std::string_view kept) {
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte >= 0x20 && byte != 0x7f) || kept.find(c) != kept.npos) {
      result += c;
    } else if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else {
      char escape[5];
      std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(byte));
      result += escape;
    }
  }
  return result;
}

/// `text` on one line: an escape replaces each control character.
[[nodiscard]] inline std::string one_line(std::string_view text) { return escaped(text, {}); }

}  // namespace mirakuru::detail
