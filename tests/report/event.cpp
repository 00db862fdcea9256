// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <string>
#include <variant>

#include <doctest/doctest.h>

#include <mirakuru/report/event.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;

TEST_CASE("line_of: each event is one line") {
  CHECK(mk::line_of(mk::StillWaiting{"./server", "HEAD http://127.0.0.1:80/helth", "HTTP 404", 5s,
                                     30s, "GET /helth 404"}) ==
        "./server: still waiting for HEAD http://127.0.0.1:80/helth (HTTP 404), 5 s of 30 s; its "
        "last line: GET /helth 404");
  CHECK(mk::line_of(
            mk::StillWaiting{"./job", "its end", {}, 10s, std::chrono::nanoseconds::max(), {}}) ==
        "./job: still waiting for its end, 10 s");
  CHECK(
      mk::line_of(mk::EndedBadly{"./server", 9, true, {}, "FATAL: out of memory"}) ==
      "./server: exited with a non-zero code: 9 while nobody waited for it; its last line: FATAL: "
      "out of memory");
  CHECK(mk::line_of(mk::EndedBadly{"./server", -SIGSEGV, true, {}, {}}) ==
        "./server: ended by signal 11 (Segmentation fault) while nobody waited for it");
  CHECK(mk::line_of(mk::EndedBadly{"./server", 23, false, "the guardian is gone", {}}) ==
        "./server: exited with a non-zero code: 23 when it was stopped; the guardian is gone");
  CHECK(mk::line_of(mk::EndedBadly{"./job", 3, true, {}, {}, true}) ==
        "./job: exited with a non-zero code: 3, and nobody asked for its exit code");
  CHECK(mk::line_of(mk::EndedBadly{"./server", 0, false, {}, "up", false, "leak"}) ==
        "./server: exited with code 0 when it was stopped; its sanitizers: leak; its last line: "
        "up");
  CHECK(mk::line_of(mk::HadToBeKilled{"./server", 10s}) ==
        "./server: had to be killed by SIGKILL, 10 s after the first signal");
  CHECK(
      mk::line_of(mk::LeftStragglers{"./server", {{42, "sleep 1"}, {43, "sleep 2"}}}) ==
      "./server: left processes behind, which needed a signal of their own: pid 42 (sleep 1), pid "
      "43 (sleep 2)");
  CHECK(mk::line_of(mk::StopFailed{"./server", "a process survived SIGKILL for 10 s"}) ==
        "./server: cannot be stopped: a process survived SIGKILL for 10 s");
  CHECK(mk::line_of(mk::Spawned{"./server", 42}) == "./server: spawned as pid 42");
  CHECK(mk::line_of(mk::CheckPassed{"./server", "a connection to [::1]:80", 12ms, 1}) ==
        "./server: a connection to [::1]:80 after 12 ms (1 attempt)");
  CHECK(mk::line_of(mk::CheckPassed{"./server", "a predicate (check 2)", 1s, 7}) ==
        "./server: a predicate (check 2) after 1 s (7 attempts)");
  CHECK(mk::line_of(mk::CheckPassed{"./server", "a file", 1s, 2, "it is old"}) ==
        "./server: a file after 1 s (2 attempts), but it is old");
  CHECK(mk::line_of(mk::Stopped{"./server", -SIGTERM, 20ms}) ==
        "./server: stopped after 20 ms: ended by signal 15 (Terminated)");
}

TEST_CASE("line_of: a line stays one, and does not grow without limit") {
  CHECK(mk::line_of(mk::StillWaiting{"a", "b\nc", "d\te", 5s, 6s, "\x1b[1mf"}) ==
        "a: still waiting for b\\nc (d\\te), 5 s of 6 s; its last line: \\x1b[1mf");
  CHECK(mk::line_of(mk::Spawned{std::string(200, 'x'), 1}) ==
        std::string(100, 'x') + " [...]: spawned as pid 1");
  CHECK(mk::line_of(mk::Spawned{std::string(99, 'x') + "\xc3\xbc", 1}) ==
        std::string(99, 'x') + " [...]: spawned as pid 1");
  CHECK(mk::line_of(mk::LeftStragglers{
            "a", {{1, "x"}, {2, "x"}, {3, "x"}, {4, "x"}, {5, "x"}, {6, "x"}, {7, "x"}}}) ==
        "a: left processes behind, which needed a signal of their own: pid 1 (x), pid 2 (x), pid 3 "
        "(x), pid 4 (x), pid 5 (x) and 2 more");
}

TEST_CASE("is_news: steps are no news") {
  CHECK(mk::is_news(mk::StillWaiting{}));
  CHECK(mk::is_news(mk::EndedBadly{}));
  CHECK(mk::is_news(mk::HadToBeKilled{}));
  CHECK(mk::is_news(mk::LeftStragglers{}));
  CHECK(mk::is_news(mk::StopFailed{}));
  CHECK_FALSE(mk::is_news(mk::Spawned{}));
  CHECK_FALSE(mk::is_news(mk::CheckPassed{}));
  CHECK_FALSE(mk::is_news(mk::Stopped{}));
}
