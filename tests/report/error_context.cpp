// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/report/error_context.hpp>

#include "errors.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::ErrorContext;

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

TEST_CASE("ErrorContext: the error of a check becomes one of the start") {
  const auto message_after = [](auto thrown) {
    ErrorContext context{.command = "a", .reason = "the last"};
    return test::message_of<mk::ExecutorError>([&] {
      try {
        throw thrown;
      } catch (...) {
        context.throw_check_failed();
      }
    });
  };
  CHECK(message_after(mk::detail::DeadlinePassed{"too late", 2s}) ==
        "timed out after 2 s\n  command: a\n  last answer: too late");
  CHECK(message_after(mk::CannotHold{"the port is taken"}) ==
        "it cannot become ready: the port is taken\n  command: a\n  last answer: the last");
  CHECK(message_after(mk::CannotHold{"the last"}) ==
        "it cannot become ready: the last\n  command: a");
  CHECK(message_after(std::runtime_error{"no"}) ==
        "a readiness check failed: no\n  command: a\n  last answer: the last");
  CHECK(message_after(1) == "a readiness check failed\n  command: a\n  last answer: the last");
}
