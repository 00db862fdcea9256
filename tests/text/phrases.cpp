// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <cstring>
#include <string>
#include <system_error>

#include <doctest/doctest.h>

#include <mirakuru/text/phrases.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::exit_headline;
using mk::detail::reason_text;
using mk::detail::to_text;

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
