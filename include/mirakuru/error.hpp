// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/printable.hpp>

namespace mirakuru {

/// The base of all errors of a process. The message names the command and the reason.
///
/// A wrong argument is `std::invalid_argument` instead, thrown before anything runs.
class ExecutorError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A check passed before the start, for example because the port is taken. Nothing was spawned.
class AlreadyRunning : public ExecutorError {
 public:
  using ExecutorError::ExecutorError;
};

/// The command cannot run: the file or the directory is missing, permission is denied, or the
/// format is wrong.
class SpawnError : public ExecutorError {
 public:
  SpawnError(const std::string& message, std::error_code code)
      : ExecutorError{message}, code_{code} {}

  /// The reason, an `errno` value in the generic category.
  [[nodiscard]] std::error_code code() const noexcept { return code_; }

 private:
  std::error_code code_;
};

/// The start budget or the time limit of `wait_for` or `run` ran out, and the tree has been ended;
/// or the limit of `wait` or `write`, and the tree runs on.
class TimeoutExpired : public ExecutorError {
 public:
  TimeoutExpired(const std::string& message, std::chrono::nanoseconds timeout)
      : ExecutorError{message}, timeout_{timeout} {}

  /// The budget that ran out.
  [[nodiscard]] std::chrono::nanoseconds timeout() const noexcept { return timeout_; }

 private:
  std::chrono::nanoseconds timeout_;
};

/// The process ended by itself, before it was ready or while it was needed. The rest of its tree
/// has been ended, except by `check_alive()`.
class ProcessExitedWithError : public ExecutorError {
 public:
  ProcessExitedWithError(const std::string& message, int exit_code)
      : ExecutorError{message}, exit_code_{exit_code} {}

  /// The exit code, 0 to 255, or -N for an end by signal N.
  [[nodiscard]] int exit_code() const noexcept { return exit_code_; }

 private:
  int exit_code_;
};

/// `stop()` found that the process had ended with an exit code that is not accepted.
class ProcessFinishedWithError : public ProcessExitedWithError {
 public:
  using ProcessExitedWithError::ProcessExitedWithError;
};

/// Thrown by a check that can no longer become ready: the start fails at once, for this reason. An
/// `AnyOf` goes on with its other checks.
class CannotHold : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {

/// The deadline of a `Within` has passed.
class DeadlinePassed : public CannotHold {
 public:
  DeadlinePassed(const std::string& reason, std::chrono::nanoseconds limit)
      : CannotHold{reason}, limit_{limit} {}

  [[nodiscard]] std::chrono::nanoseconds limit() const noexcept { return limit_; }

 private:
  std::chrono::nanoseconds limit_;
};

/// A duration in seconds or milliseconds, rounded to three digits: "3600 s", "1.5 s", "20 ms".
[[nodiscard]] std::string to_text(std::chrono::nanoseconds duration);
/// The end of a process as text: "exited with a non-zero code: 3", "ended by signal 9 (Killed)".
[[nodiscard]] std::string exit_headline(int exit_code);
/// The message of an error code, with a small first letter: "connection refused".
[[nodiscard]] std::string reason_text(const std::error_code& code);

/// The facts about a failure, and the message that a developer reads.
struct ErrorContext {
  std::string command;
  std::string started_at = {};               ///< file and line of the call; empty if unknown
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

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/error.ipp>
#endif
