// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdio>
#include <string>

namespace mirakuru::detail {

/// `text` on one line: an escape like "\n" or "\x00" replaces each control character.
[[nodiscard]] inline std::string one_line(const std::string& text) {
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      line += "\\n";
    } else if (c == '\t') {
      line += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      char escape[5];
      std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(byte));
      line += escape;
    } else {
      line += c;
    }
  }
  return line;
}

}  // namespace mirakuru::detail
