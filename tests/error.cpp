// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>

#include <doctest/doctest.h>

#include <mirakuru/error.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::ErrorContext;
using mk::detail::exit_headline;
using mk::detail::reason_text;
using mk::detail::to_text;

TEST_CASE("ExecutorError: it is the base of every error of a process") {
  static_assert(std::is_base_of_v<std::runtime_error, mk::ExecutorError>);
  static_assert(std::is_base_of_v<mk::ExecutorError, mk::AlreadyRunning>);
  static_assert(std::is_base_of_v<mk::ExecutorError, mk::SpawnError>);
  static_assert(std::is_base_of_v<mk::ExecutorError, mk::TimeoutExpired>);
  static_assert(std::is_base_of_v<mk::ExecutorError, mk::ProcessExitedWithError>);
  static_assert(std::is_base_of_v<mk::ProcessExitedWithError, mk::ProcessFinishedWithError>);
  // A handler of one catches no other.
  static_assert(!std::is_base_of_v<mk::SpawnError, mk::AlreadyRunning>);
  static_assert(!std::is_base_of_v<mk::ProcessExitedWithError, mk::TimeoutExpired>);
  static_assert(!std::is_base_of_v<mk::ProcessFinishedWithError, mk::ProcessExitedWithError>);
  // Wrong arguments are an error of the caller, not of the process.
  static_assert(!std::is_base_of_v<std::invalid_argument, mk::ExecutorError>);
  static_assert(!std::is_base_of_v<mk::ExecutorError, std::invalid_argument>);
  // Throwing one of them cannot fail.
  static_assert(std::is_nothrow_copy_constructible_v<mk::ExecutorError>);
  static_assert(std::is_nothrow_copy_constructible_v<mk::SpawnError>);
  static_assert(std::is_nothrow_copy_constructible_v<mk::TimeoutExpired>);
  static_assert(std::is_nothrow_copy_constructible_v<mk::ProcessFinishedWithError>);
}

TEST_CASE("ExecutorError: each error has its message and its value") {
  CHECK(std::string{mk::ExecutorError{"a"}.what()} == "a");
  CHECK(std::string{mk::AlreadyRunning{"b"}.what()} == "b");

  const mk::SpawnError spawn{"c", {EACCES, std::generic_category()}};
  CHECK(std::string{spawn.what()} == "c");
  CHECK(spawn.code() == std::errc::permission_denied);

  const mk::TimeoutExpired timeout{"d", 1500ms};
  CHECK(std::string{timeout.what()} == "d");
  CHECK(timeout.timeout() == 1500ms);

  const mk::ProcessExitedWithError exited{"e", 3};
  CHECK(std::string{exited.what()} == "e");
  CHECK(exited.exit_code() == 3);
  const mk::ProcessFinishedWithError finished{"f", -SIGSEGV};
  CHECK(std::string{finished.what()} == "f");
  CHECK(finished.exit_code() == -SIGSEGV);
}

TEST_CASE("to_text: a duration is written as a person would write it") {
  struct Row {
    std::chrono::nanoseconds duration;
    std::string text;
  };
  const Row rows[] = {
      {0s, "0 ms"},          {1us, "0.001 ms"},
      {500us, "0.5 ms"},     {1ms, "1 ms"},
      {1234us, "1.23 ms"},   {1236us, "1.24 ms"},
      {20ms, "20 ms"},       {99'960us, "100 ms"},
      {100ms, "100 ms"},     {999ms, "999 ms"},
      {999'400us, "999 ms"}, {1s, "1 s"},
      {1s + 1ns, "1 s"},     {1004ms, "1 s"},
      {1500ms, "1.5 s"},     {1994ms, "1.99 s"},
      {10s, "10 s"},         {59'940ms, "59.9 s"},
      {99'960ms, "100 s"},   {999s, "999 s"},
      {999'400ms, "999 s"},  {1000s, "1000 s"},
      {1h, "3600 s"},        {3600s + 600ms, "3601 s"},
      {24h, "86400 s"},      {std::chrono::nanoseconds::max(), "9223372037 s"},
  };
  for (const auto& [duration, text] : rows) {
    CAPTURE(duration.count());
    CHECK(to_text(duration) == text);
  }
}

TEST_CASE("to_text: a duration that is rounded up to the next unit is written in it") {
  CHECK(to_text(999'499'999ns) == "999 ms");
  CHECK(to_text(999'500us) == "1 s");
  CHECK(to_text(1s - 1ns) == "1 s");
  CHECK(to_text(999'499ms) == "999 s");
  CHECK(to_text(999'600ms) == "1000 s");
  CHECK(to_text(1000s - 1ns) == "1000 s");
}

TEST_CASE("exit_headline: an end is described by its code or its signal") {
  CHECK(exit_headline(0) == "exited with code 0");
  CHECK(exit_headline(1) == "exited with a non-zero code: 1");
  CHECK(exit_headline(255) == "exited with a non-zero code: 255");
  CHECK(exit_headline(-SIGKILL) == "ended by signal 9 (Killed)");
  CHECK(exit_headline(-SIGTERM) == "ended by signal 15 (Terminated)");
  CHECK(exit_headline(-SIGHUP) == "ended by signal 1 (Hangup)");
  CHECK(exit_headline(-1000).starts_with("ended by signal 1000 ("));
}

TEST_CASE("reason_text: a reason begins with a small letter") {
  const auto reason = [](int error) { return reason_text({error, std::generic_category()}); };
  CHECK(reason(ECONNREFUSED) == "connection refused");
  CHECK(reason(ENOENT) == "no such file or directory");
  CHECK(reason(EACCES) == "permission denied");

  class Silent : public std::error_category {
    const char* name() const noexcept override { return "silent"; }
    std::string message(int) const override { return {}; }
  };
  const Silent silent;
  CHECK(reason_text({1, silent}).empty());
}

TEST_CASE("ErrorContext: a message has a line for each known item") {
  CHECK(ErrorContext{.command = "./server --port 80"}.message("cannot run ./server: no") ==
        "cannot run ./server: no\n"
        "  command: ./server --port 80");

  CHECK(ErrorContext{.command = "./server --port 8080",
                     .awaited = "a connection to 127.0.0.1:8080",
                     .waited = 12ms,
                     .reason = "connection refused",
                     .output = "starting\nstill starting",
                     .err_output = "config.toml: no such file"}
            .message("exited with a non-zero code: 3 before it was ready") ==
        "exited with a non-zero code: 3 before it was ready\n"
        "  command: ./server --port 8080\n"
        "  waited for: a connection to 127.0.0.1:8080, for 12 ms\n"
        "  last answer: connection refused\n"
        "  the end of standard error:\n"
        "    config.toml: no such file\n"
        "  the end of standard output:\n"
        "    starting\n"
        "    still starting");
}

TEST_CASE("ErrorContext: a message leaves out unknown items") {
  // The time waited makes no sense without the check.
  CHECK(ErrorContext{.command = "a", .waited = 5s}.message("b") == "b\n  command: a");
  CHECK(ErrorContext{.command = "a", .awaited = "c", .waited = 1500ms}.message("b") ==
        "b\n  command: a\n  waited for: c, for 1.5 s");
  CHECK(ErrorContext{.command = "a", .reason = "d"}.message("b") ==
        "b\n  command: a\n  last answer: d");
  CHECK(ErrorContext{.command = "a", .output = "o"}.message("b") ==
        "b\n  command: a\n  the end of standard output:\n    o");
  CHECK(ErrorContext{.command = "a", .err_output = "e"}.message("b") ==
        "b\n  command: a\n  the end of standard error:\n    e");
}

TEST_CASE("ErrorContext: streams that share a file are shown once") {
  CHECK(ErrorContext{.command = "a", .output = "both\nlines", .err_output = "both\nlines"}.message(
            "b") == "b\n  command: a\n  the end of standard error:\n    both\n    lines");
}

TEST_CASE("ErrorContext: further lines of an item are indented") {
  CHECK(ErrorContext{.command = "a",
                     .awaited = "x\ny",
                     .waited = 1s,
                     .reason = "not\nyet\n",
                     .trouble = "1\n2"}
            .message("b\nc") ==
        "b\n    c\n  command: a\n  waited for: x\n    y, for 1 s\n  last answer: not\n    yet\n"
        "  note: 1\n    2");
}

TEST_CASE("ErrorContext: the place of the call and the notes have a line each") {
  ErrorContext context{.command = "a", .started_at = "test.cpp:24", .reason = "d"};
  context.note("");
  context.note("e\nf");
  context.note("g");
  CHECK(context.message("b") ==
        "b\n  command: a\n  started at: test.cpp:24\n  last answer: d\n  note: e\n    f\n"
        "  note: g");
}

TEST_CASE("ErrorContext: control characters of the output become escapes, and end no message") {
  const std::string output{"a\0b\tc\n\x1b[1m", 10}, expected = "a\\x00b\tc\n    \\x1b[1m";
  const auto message =
      ErrorContext{.command = "a", .output = output, .err_output = "e"}.message("b");
  CHECK(
      std::string{mk::ExecutorError{message}.what()} ==
      "b\n  command: a\n  the end of standard error:\n    e\n  the end of standard output:\n    " +
          expected);
  ErrorContext note{.command = "a"};
  note.note({"n\0o", 3});
  CHECK(note.message("b") == "b\n  command: a\n  note: n\\x00o");
}

TEST_CASE("ErrorContext: a long command is cut between two characters") {
  const std::string start(999, 'x');
  CHECK(ErrorContext{.command = start + "\xc3\xbc"}.message("b") ==
        "b\n  command: " + start + " [...]");
}

TEST_CASE("ErrorContext: lines of output are indented, empty ones too") {
  CHECK(ErrorContext{.command = "a", .output = "x\n\ny"}.message("b") ==
        "b\n  command: a\n  the end of standard output:\n    x\n    \n    y");
}
