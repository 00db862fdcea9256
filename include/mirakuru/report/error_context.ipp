// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>

#include <mirakuru/os/printable.hpp>
#include <mirakuru/report/error_context.hpp>
#include <mirakuru/text/cut.hpp>

namespace mirakuru::detail {

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
  if (!place.empty()) text += "\n  place: " + place;
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
