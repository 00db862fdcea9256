// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>
#include <system_error>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/printable.hpp>

namespace mirakuru {

/// The base of everything that goes wrong with a process; `what()` says what to fix.
///
/// Wrong arguments are `std::invalid_argument` instead, thrown before anything runs.
class ExecutorError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What a check waits for was there before the start: the port is taken. Nothing was spawned.
class AlreadyRunning : public ExecutorError {
 public:
  using ExecutorError::ExecutorError;
};

/// The command cannot be run: no such file, no permission, a wrong format, a missing directory.
class SpawnError : public ExecutorError {
 public:
  SpawnError(const std::string& message, std::error_code code)
      : ExecutorError{message}, code_{code} {}

  /// The system's reason, an `errno` value in the generic category.
  [[nodiscard]] std::error_code code() const noexcept { return code_; }

 private:
  std::error_code code_;
};

/// The start budget, or the time limit of `wait_for`, ran out. The tree has been ended.
class TimeoutExpired : public ExecutorError {
 public:
  TimeoutExpired(const std::string& message, std::chrono::nanoseconds timeout)
      : ExecutorError{message}, timeout_{timeout} {}

  /// The budget that ran out.
  [[nodiscard]] std::chrono::nanoseconds timeout() const noexcept { return timeout_; }

 private:
  std::chrono::nanoseconds timeout_;
};

/// The process ended before it was ready. What was left of its tree has been ended.
class ProcessExitedWithError : public ExecutorError {
 public:
  ProcessExitedWithError(const std::string& message, int exit_code)
      : ExecutorError{message}, exit_code_{exit_code} {}

  /// The exit status, or minus the number of the signal that ended the process.
  [[nodiscard]] int exit_code() const noexcept { return exit_code_; }

 private:
  int exit_code_;
};

/// `stop()` found that the process had ended by itself with a code that is not accepted.
class ProcessFinishedWithError : public ProcessExitedWithError {
 public:
  using ProcessExitedWithError::ProcessExitedWithError;
};

namespace detail {

/// What is known when something goes wrong; makes the message a developer reads.
struct ErrorContext {
  std::string command;
  std::string awaited = {};              ///< the check that was waited for; empty for none
  std::chrono::nanoseconds waited = {};  ///< since the spawn
  std::string reason = {};               ///< the last one that the check gave
  std::string trouble = {};              ///< with what guards the command
  std::string output = {};               ///< the end of standard output
  std::string err_output = {};           ///< the end of standard error

  /// `headline`, then what is known, an item a line; the further lines of an item are indented.
  [[nodiscard]] std::string message(const std::string& headline) const;

  // The errors of a start and a stop.
  [[noreturn]] void throw_already_running(const std::string& holder) const;
  [[noreturn]] void throw_exited(int exit_code) const;
  [[noreturn]] void throw_timed_out(std::chrono::nanoseconds budget) const;
  [[noreturn]] void throw_finished(int exit_code, bool accepted) const;
  /// The exception at hand is a check's, and is nested in that of the start.
  [[noreturn]] void throw_check_failed() const;
};

/// "3600 s", "1.5 s", "20 ms": as a person would write it, rounded to three digits.
[[nodiscard]] std::string to_text(std::chrono::nanoseconds duration);
/// "exited with a non-zero code: 3", or "ended by signal 9 (Killed)".
[[nodiscard]] std::string exit_headline(int exit_code);
/// `strerror` of it in the library's own sentence form: "connection refused".
[[nodiscard]] std::string reason_text(const std::error_code& code);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/error.ipp>
#endif
