// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <charconv>
#include <cstring>
#include <exception>

#include <mirakuru/error.hpp>
#include <mirakuru/os/ascii.hpp>
#include <mirakuru/text/cut.hpp>

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

/// `text` without newlines at its end; all lines but the first are indented by four.
[[gnu::cold]] inline std::string indented(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  for (auto at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 1))
    text.insert(at + 1, 4, ' ');
  return text;
}

[[gnu::cold]] MIRAKURU_DECL std::string ErrorContext::message(const std::string& headline) const {
  constexpr std::size_t longest_command = 1000;
  std::string text = indented(headline) + "\n  command: " + shortened(command, longest_command);
  if (!started_at.empty()) text += "\n  started at: " + started_at;
  if (!awaited.empty()) text += "\n  waited for: " + indented(awaited) + ", for " + to_text(waited);
  if (!reason.empty()) text += "\n  last answer: " + indented(reason);
  if (!trouble.empty()) text += "\n  note: " + indented(trouble);
  for (const auto& note : notes) text += "\n  note: " + indented(note);
  for (const auto* finding : {&backtrace, &reports})
    if (!finding->empty()) text += '\n' + *finding;
  const auto quote = [&text](const char* name, const std::string& lines) {
    if (!lines.empty()) text += "\n  " + std::string{name} + ":\n    " + indented(lines);
  };
  quote("the end of standard error", err_output);
  if (output != err_output) quote("the end of standard output", output);
  return escaped(text, "\n\t");  // a NUL byte would be the end of what()
}

[[gnu::cold]] MIRAKURU_DECL void ErrorContext::throw_check_failed() {
  const std::string headline = "a readiness check failed";
  try {
    throw;
  } catch (const DeadlinePassed& passed) {
    if (*passed.what() != '\0') reason = passed.what();
    throw_timed_out(passed.limit());
  } catch (const CannotHold& error) {
    if (reason == error.what()) reason.clear();
    throw ExecutorError{message(std::string{"it cannot become ready: "} + error.what())};
  } catch (const std::exception& error) {
    std::throw_with_nested(ExecutorError{message(headline + ": " + error.what())});
  } catch (...) {
    std::throw_with_nested(ExecutorError{message(headline)});
  }
}

}  // namespace mirakuru::detail
