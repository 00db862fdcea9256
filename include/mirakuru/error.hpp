// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>
#include <system_error>

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

}  // namespace detail
}  // namespace mirakuru
