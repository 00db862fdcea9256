// SPDX-License-Identifier: BSL-1.0
// Errors that a call throws, and their messages.

#pragma once

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/budget/timeout.hpp>
#include <mirakuru/error.hpp>

#include "time.hpp"

namespace test {

/// A start that hangs fails by it, and does not hang the test.
inline constexpr mirakuru::TimeoutBudget in_time{.start = std::chrono::seconds{30}};

/// The message of the error that `action` throws, "nothing" if it throws none. Another error passes
/// through.
template <class Error, class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing";
}

/// The message of the std::invalid_argument that `make` throws, "nothing" if it throws none.
template <class Make>
std::string refusal(Make make) {
  return message_of<std::invalid_argument>(make);
}

/// Checks that the start fails because the command ends with 0 before it is ready.
template <class Executor>
void check_ends_before_ready(Executor& executor) {
  try {
    executor.start();
    FAIL("it counts as ready");
  } catch (const mirakuru::ProcessExitedWithError& error) {
    CHECK(error.exit_code() == 0);
    const std::string message = error.what();
    CHECK(message.find("exited with code 0 before it was ready") != message.npos);
  }
}

/// Starts the executor. False, with a message, when its program is not installed.
template <class Executor>
bool starts_if_installed(Executor& executor) {
  try {
    executor.start();
    return true;
  } catch (const mirakuru::SpawnError& error) {
    MESSAGE("skipped: ", error.what());
    return false;
  }
}

/// The message with L in place of the file and line behind "started at: ".
inline std::string placeless(std::string message) {
  const std::string marker = "\n  started at: ";
  if (const auto at = message.find(marker); at != message.npos) {
    const auto begin = at + marker.size();
    message.replace(begin, std::min(message.find('\n', begin), message.size()) - begin, "L");
  }
  return message;
}

/// The message with T in place of each duration behind `marker`, and L in place of the call's line.
inline std::string timeless(std::string message, const std::string& marker = ", for ") {
  message = placeless(message);
  for (auto at = message.find(marker); at != message.npos; at = message.find(marker, at)) {
    at += marker.size();
    const auto end = std::min(message.find('\n', at), message.size());
    const auto unit = message.find(' ', at);
    if (unit < end && (message.substr(unit, end - unit) == " ms" || message[unit + 1] == 's'))
      message.replace(at, end - at, "T");
  }
  return message;
}

/// The message of the time-out of `start(budget)`, which has `part`. A busy machine may need more
/// time until it has: each try has twice the budget of the one before.
template <class Start>
std::string message_of_timeout(std::chrono::milliseconds budget, Start start,
                               const std::string& part) {
  std::string message;
  for (int tries = 0; tries < 8 && message.find(part) == message.npos; ++tries, budget *= 2)
    message = message_of<mirakuru::TimeoutExpired>([&] { start(budget); });
  CAPTURE(message);
  CHECK(message.find(part) != message.npos);
  return message;
}

/// Checks that `start` times out when its budget is over, and that its message is as `expected`. A
/// busy machine may be late with the server or with the clock: it has five tries.
template <class Start, class Expected>
void check_timeout(std::chrono::milliseconds budget, Start start, Expected expected) {
  constexpr std::chrono::milliseconds margin{250};
  std::string message;
  std::chrono::nanoseconds took{};
  for (int tries = 0; tries < 5; ++tries) {
    const Elapsed elapsed;
    message = message_of<mirakuru::TimeoutExpired>(start);
    took = elapsed.time();
    CHECK(took >= budget);
    if (took < budget + margin && expected(message)) return;
  }
  CAPTURE(message);
  CHECK(took < budget + margin);
  CHECK(expected(message));
}

}  // namespace test
