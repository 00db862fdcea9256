// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cctype>
#include <charconv>
#include <cstring>

#include <mirakuru/error.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL std::string to_text(std::chrono::nanoseconds duration) {
  const auto seconds = std::chrono::duration<double>{duration}.count();
  const bool in_ms = seconds < 0.9995;  // which would be rounded to 1e+03 ms
  char text[32];
  const auto value = seconds < 1e-6 ? 0 : in_ms ? seconds * 1000 : seconds;
  const auto [end, error] =
      value < 999.5 ? std::to_chars(text, text + sizeof text, value, std::chars_format::general, 3)
                    : std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, 0);
  return std::string(text, end) + (in_ms ? " ms" : " s");
}

MIRAKURU_DECL std::string exit_headline(int exit_code) {
  if (exit_code == 0) return "exited with code 0";
  if (exit_code > 0) return "exited with a non-zero code: " + std::to_string(exit_code);
  const char* const name = ::strsignal(-exit_code);
  return "ended by signal " + std::to_string(-exit_code) + " (" + (name != nullptr ? name : "?") +
         ')';
}

MIRAKURU_DECL std::string reason_text(const std::error_code& code) {
  std::string text = code.message();
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

MIRAKURU_DECL std::string Circumstances::tell(const std::string& headline) const {
  constexpr std::size_t longest_command = 1000;
  std::string text = headline + "\n  command: " + command.substr(0, longest_command);
  if (command.size() > longest_command) text += " [...]";
  if (!awaited.empty()) text += "\n  waited for: " + awaited + ", for " + to_text(waited);
  if (!reason.empty()) text += "\n  last answer: " + reason;
  if (!trouble.empty()) text += "\n  note: " + trouble;
  const auto quote = [&text](const char* name, const std::string& lines) {
    if (lines.empty()) return;
    text += "\n  " + std::string{name} + ":\n    ";
    for (const char c : lines) text += c == '\n' ? "\n    " : std::string(1, c);
  };
  quote("the end of standard error", err_output);
  if (output != err_output) quote("the end of standard output", output);
  return text;
}

}  // namespace mirakuru::detail
