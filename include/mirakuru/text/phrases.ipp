// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <charconv>
#include <cstring>

#include <mirakuru/os/ascii.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru::detail {

[[gnu::cold]] MIRAKURU_DECL std::string to_text(std::chrono::nanoseconds duration) {
  const auto seconds = std::chrono::duration<double>{duration}.count();
  const bool in_ms = seconds < 0.9995;  // 999.5 ms would become "1e+03 ms"
  char text[32];
  const auto value = seconds < 1e-6 ? 0 : in_ms ? seconds * 1000 : seconds;
  const auto [end, error] =
      value < 999.5 ? std::to_chars(text, text + sizeof text, value, std::chars_format::general, 3)
                    : std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, 0);
  return std::string(text, end) + (in_ms ? " ms" : " s");
}

[[gnu::cold]] MIRAKURU_DECL std::string exit_headline(int exit_code) {
  if (exit_code == 0) return "exited with code 0";
  if (exit_code > 0) return "exited with a non-zero code: " + std::to_string(exit_code);
  const char* const name = ::strsignal(-exit_code);
  return "ended by signal " + std::to_string(-exit_code) + " (" + (name != nullptr ? name : "?") +
         ')';
}

MIRAKURU_DECL std::string reason_text(const std::error_code& code) {
  std::string text = code.message();
  if (!text.empty()) text[0] = to_lower(text[0]);
  return text;
}

}  // namespace mirakuru::detail
