// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cctype>
#include <charconv>
#include <cstring>
#include <exception>

#include <mirakuru/error.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL std::string to_text(std::chrono::nanoseconds duration) {
  const auto seconds = std::chrono::duration<double>{duration}.count();
  const bool in_ms = seconds < 0.9995;  // 999.5 ms would become "1e+03 ms"
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

/// `text` without newlines at its end; all lines but the first are indented by four.
inline std::string indented(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  for (auto at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 1))
    text.insert(at + 1, 4, ' ');
  return text;
}

MIRAKURU_DECL std::string ErrorContext::message(const std::string& headline) const {
  constexpr std::size_t longest_command = 1000;
  std::string text = indented(headline) + "\n  command: " + command.substr(0, longest_command);
  if (command.size() > longest_command) text += " [...]";
  if (!awaited.empty()) text += "\n  waited for: " + indented(awaited) + ", for " + to_text(waited);
  if (!reason.empty()) text += "\n  last answer: " + indented(reason);
  if (!trouble.empty()) text += "\n  note: " + indented(trouble);
  const auto quote = [&text](const char* name, const std::string& lines) {
    if (!lines.empty()) text += "\n  " + std::string{name} + ":\n    " + indented(lines);
  };
  quote("the end of standard error", err_output);
  if (output != err_output) quote("the end of standard output", output);
  return text;
}

MIRAKURU_DECL void ErrorContext::throw_already_running(const std::string& holder) const {
  throw AlreadyRunning{message(holder + ": it seems to be already running")};
}

MIRAKURU_DECL void ErrorContext::throw_exited(int exit_code) const {
  throw ProcessExitedWithError{message(exit_headline(exit_code) + " before it was ready"),
                               exit_code};
}

MIRAKURU_DECL void ErrorContext::throw_timed_out(std::chrono::nanoseconds budget) const {
  throw TimeoutExpired{message("timed out after " + to_text(budget)), budget};
}

MIRAKURU_DECL void ErrorContext::throw_finished(int exit_code, bool accepted) const {
  const auto* const why = accepted ? "" : ", which stop() does not accept";
  throw ProcessFinishedWithError{message(exit_headline(exit_code) + why), exit_code};
}

MIRAKURU_DECL void ErrorContext::throw_check_failed() const {
  const std::string headline = "a readiness check failed";
  try {
    throw;
  } catch (const std::exception& error) {
    std::throw_with_nested(ExecutorError{message(headline + ": " + error.what())});
  } catch (...) {
    std::throw_with_nested(ExecutorError{message(headline)});
  }
}

}  // namespace mirakuru::detail
