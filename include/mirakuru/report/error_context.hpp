// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <mirakuru/error.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru::detail {

/// The facts about a failure, and the message that a developer reads.
struct ErrorContext {
  std::string command;
  std::string started_at = {};               ///< file and line of the call; empty if unknown
  std::string place = {};                    ///< another machine or engine; empty: this machine
  std::string awaited = {};                  ///< the check that has not passed; empty for none
  std::chrono::nanoseconds waited = {};      ///< since the spawn
  std::string reason = {};                   ///< the check's last answer
  std::string trouble = {};                  ///< a failure of the guardian
  std::vector<std::string> notes = {};       ///< further things to know
  std::string backtrace = {}, reports = {};  ///< of a post-mortem, indented
  std::string output = {};                   ///< the end of standard output
  std::string err_output = {};               ///< the end of standard error

  /// Adds a note, unless it is empty.
  [[gnu::cold]] void note(std::string text) {
    if (!text.empty()) notes.push_back(std::move(text));
  }
  /// `headline` and the known facts, one a line; further lines of a fact are indented.
  [[nodiscard]] std::string message(const std::string& headline) const;

  // Each throws the error of its name.
  [[noreturn, gnu::cold]] void throw_already_running(const std::string& conflict) const {
    throw AlreadyRunning{message(conflict + ": it seems to be already running")};
  }
  [[noreturn, gnu::cold]] void throw_exited(int exit_code, const std::string& when) const {
    throw ProcessExitedWithError{message(exit_headline(exit_code) + when), exit_code};
  }
  [[noreturn, gnu::cold]] void throw_timed_out(std::chrono::nanoseconds budget) const {
    throw TimeoutExpired{message("timed out after " + to_text(budget)), budget};
  }
  [[noreturn, gnu::cold]] void throw_finished(int exit_code, bool accepted) const {
    const auto* const why = accepted ? "" : ", which stop() does not accept";
    const auto* const more = reports.empty() ? "" : "; its sanitizers have reported";
    throw ProcessFinishedWithError{message(exit_headline(exit_code) + why + more), exit_code};
  }
  /// Rethrows the current exception nested in an ExecutorError.
  [[noreturn]] void throw_check_failed();
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/report/error_context.ipp>
#endif
