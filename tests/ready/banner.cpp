// SPDX-License-Identifier: BSL-1.0
#include <sys/resource.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/detail/line_search.hpp>

#include "support.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

namespace {

/// True if the matcher finds its line in the pieces, one after another.
bool found(const mk::LineMatcher& matcher, std::initializer_list<std::string_view> pieces) {
  mk::LineSearch search{matcher};
  for (const auto piece : pieces)
    if (search.feed(piece)) return true;
  return false;
}

template <class... Words>
std::vector<std::string> helper(Words... words) {
  return {test::helper(), words...};
}

long resident_bytes() {
  const auto statm = test::slurp("/proc/self/statm");
  return std::stol(statm.substr(statm.find(' '))) * ::sysconf(_SC_PAGESIZE);
}

}  // namespace

TEST_CASE("a banner is found however the text is cut into pieces") {
  const std::string text = "one\ntwo three\nlistening on 80\nfour";
  const auto is_it = [](std::string_view line) { return line == "listening on 80"; };
  for (const mk::LineMatcher& matcher :
       {mk::LineMatcher{"listening on 80"}, mk::LineMatcher{"^listening on \\d+$"},
        mk::LineMatcher{is_it}}) {
    CHECK(found(matcher, {text}));
    for (std::size_t i = 0; i <= text.size(); ++i)
      for (std::size_t j = i; j <= text.size(); ++j) {
        const std::string_view all{text};
        CHECK(found(matcher, {all.substr(0, i), all.substr(i, j - i), all.substr(j)}));
      }
    mk::LineSearch bytewise{matcher};
    std::size_t at = 0;
    while (at < text.size() && !bytewise.feed({&text[at++], 1})) {
    }
    CHECK(at < text.size());
    CHECK_FALSE(found(matcher, {"listening", "\n", " on 80\n"}));
  }
}

TEST_CASE("a line without an end counts, and the anchors are the line's") {
  CHECK(found("\\$ $", {"welcome\n", "user$ "}));
  CHECK(found("^READY", {"some line\nREADY\n"}));
  CHECK_FALSE(found("^READY", {"not ", "READY\n"}));
  CHECK(found("READY$", {"READY\nmore\n"}));
  CHECK_FALSE(found("READY$", {"READY or not\n"}));
}

TEST_CASE("bytes are bytes") {
  CHECK(found("b+c", {std::string_view("a\0bbc", 5)}));
  CHECK(found("a.b", {std::string_view("a\0b", 3)}));
  CHECK(found("bc", {std::string_view("a\0bc\xff\xfe", 6)}));
  CHECK(found("\xc3\xa9+", {"caf\xc3", "\xa9\n"}));
  CHECK(found("x\\d", {"\xff\xfex1"}));
}

TEST_CASE("a callable's line is bounded") {
  std::size_t longest = 0, calls = 0;
  const mk::LineMatcher matcher{[&](std::string_view line) {
    longest = std::max(longest, line.size());
    ++calls;
    return line.ends_with("done");
  }};
  mk::LineSearch search{matcher};
  const std::string block(100'000, 'x');
  for (int i = 0; i < 50; ++i) CHECK_FALSE(search.feed(block));
  CHECK(search.feed("done"));
  CHECK(longest <= mk::LineSearch::longest_line);
  CHECK(calls < 300);
}

TEST_CASE("wrong banners are refused") {
  CHECK_THROWS_AS(static_cast<void>(mk::BannerCheck{""}), std::invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(mk::BannerCheck{"(open"}), std::invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(mk::BannerCheck{"two\nlines"}), std::invalid_argument);
}

TEST_CASE("scenario 35: a banner on standard output") {
  mk::OutputExecutor executor{mk::Shell{"sleep 0.1; echo foo; echo bar; exec sleep 100"},
                              mk::BannerCheck{"foo"}};
  executor.start();
  CHECK(executor.running());
  executor.wait_for([&] { return executor.output() == "foo\nbar\n"; });
}

TEST_CASE("scenario 36: a banner on standard error") {
  const auto command = mk::Shell{"sleep 0.1; echo foo >&2; echo bar >&2; exec sleep 100"};
  mk::OutputExecutor any{command, mk::BannerCheck{"foo"}};
  mk::OutputExecutor named{command, mk::BannerCheck{.pattern = "foo", .stream = mk::Stream::err}};
  for (auto* executor : {&any, &named}) {
    executor->start();
    CHECK(executor->running());
    executor->wait_for([&] { return executor->err_output() == "foo\nbar\n"; });
  }
  mk::OutputExecutor other{command, mk::BannerCheck{.pattern = "foo", .stream = mk::Stream::out},
                           mk::TimeoutBudget{.start = 400ms}};
  CHECK_THROWS_AS(other.start(), mk::TimeoutExpired);
}

TEST_CASE("scenario 37: a banner that is never printed") {
  mk::OutputExecutor executor{mk::Shell{"echo bar; exec sleep 100"}, mk::BannerCheck{"foobar"},
                              mk::TimeoutBudget{.start = 300ms}};
  const test::Elapsed elapsed;
  CHECK_THROWS_AS(executor.start(), mk::TimeoutExpired);
  CHECK(elapsed < 5s);
  CHECK_FALSE(executor.running());
}

TEST_CASE("scenario 38: a banner in two writes") {
  mk::OutputExecutor executor{mk::Shell{"printf foo; sleep 0.2; printf bar; echo"},
                              mk::BannerCheck{"foobar"}};
  executor.start().wait();
  CHECK(executor.output() == "foobar\n");
}

TEST_CASE("scenario 38b: the process ends without its banner") {
  mk::OutputExecutor executor{"echo foo", mk::BannerCheck{"foobar"},
                              mk::TimeoutBudget{.start = 30s}};
  const test::Elapsed elapsed;
  CHECK_THROWS_AS(executor.start(), mk::ProcessExitedWithError);
  CHECK(elapsed < 10s);
}

TEST_CASE("scenario 39: sixty thousand lines before the banner") {
  mk::OutputExecutor executor{helper("flood", "4860000", "then=the banner"),
                              mk::BannerCheck{"the banner"}, mk::TimeoutBudget{.start = 15s}};
  executor.start();
  CHECK(executor.running());
}

TEST_CASE("defect 1: a process that ends before its banner fails at once, without spinning") {
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  mk::OutputExecutor executor{helper("exit", "0", "out=other\\n", "after=300"),
                              mk::BannerCheck{"banner"}};
  CHECK_THROWS_AS(executor.start(), mk::ProcessExitedWithError);
  ::getrusage(RUSAGE_SELF, &after);
  const auto used = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000 +
                    (after.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1000;
  CHECK(used < 150);
}

TEST_CASE("defect 2: split, without a newline, and at the start of a second line") {
  mk::OutputExecutor split{helper("print", "foo", "bar\\n", "split=50"), mk::BannerCheck{"foobar"}};
  CHECK(split.start().running());
  mk::OutputExecutor prompt{helper("print", "user$ "), mk::BannerCheck{"\\$ $"}};
  CHECK(prompt.start().running());
  mk::OutputExecutor second{helper("print", "first\\nREADY\\n"), mk::BannerCheck{"^READY"}};
  CHECK(second.start().running());
}

TEST_CASE("defect 10: five megabytes before the banner cost the child's own time and little more") {
  const auto time = [](auto check) {
    mk::Executor executor{helper("flood", "5000000", "then=ready now"), check};
    const test::Elapsed elapsed;
    executor.start();
    return elapsed.ms();
  };
  CHECK(time(mk::BannerCheck{"ready now"}) < 2s);
  CHECK(time(mk::BannerCheck{"ready +now"}) < 2s);
}

TEST_CASE("a line of 64 megabytes without an end") {
  for (const char* banner : {"the end", "the +end", ".*the end", "(a|b|c)+the end"}) {
    const auto before = resident_bytes();
    mk::OutputExecutor executor{helper("flood", "64000000", "line=0", "then=abcthe end"),
                                mk::BannerCheck{banner}, mk::TimeoutBudget{.start = 60s}};
    executor.start();
    CHECK(executor.running());
    CHECK(resident_bytes() - before < (test::sanitized ? 32'000'000 : 4'000'000));
  }
}

TEST_CASE(
    "a banner of a process that has ended since: a good end does not undo it, a bad one does") {
  for (int i = 0; i < 20; ++i) {
    mk::OutputExecutor good{"echo foobar", mk::BannerCheck{"foobar"}};
    good.start();
    mk::OutputExecutor bad{mk::Shell{"echo foobar; exit 3"}, mk::BannerCheck{"foobar"}};
    try {
      bad.start();
      bad.wait();  // the banner was first
    } catch (const mk::ProcessExitedWithError& error) {
      CHECK(error.exit_code() == 3);
    }
    CHECK(bad.exit_code() == 3);
  }
}

TEST_CASE("a banner at the end of much output, of a process that ends at once") {
  const auto slow = [](std::string_view line) {
    return std::count(line.begin(), line.end(), 'y') < 0 || line == "READY";
  };
  for (const mk::LineMatcher& matcher :
       {mk::LineMatcher{"READY"}, mk::LineMatcher{"R.ADY$"}, mk::LineMatcher{slow}})
    for (int i = 0; i < 5; ++i) {
      mk::OutputExecutor executor{
          mk::Shell{"head -c 5000000 /dev/zero | tr '\\0' y; echo; echo READY"},
          mk::BannerCheck{matcher}};
      executor.start();
      CHECK(executor.wait().exit_code() == 0);
    }
}

TEST_CASE("two banners, one after the other") {
  mk::Executor executor{mk::Shell{"echo one; echo two >&2"}, mk::BannerCheck{"one"},
                        mk::BannerCheck{"two"}};
  executor.start();
  mk::Executor none{mk::Shell{"echo one"}, mk::BannerCheck{"one"}, mk::BannerCheck{"two"}};
  CHECK_THROWS_AS(none.start(), mk::ProcessExitedWithError);
}

TEST_CASE("a process that never stops printing does not hold up the deadline") {
  mk::OutputExecutor executor{{"yes"}, mk::BannerCheck{"no"}, mk::TimeoutBudget{.start = 200ms}};
  const test::Elapsed elapsed;
  CHECK_THROWS_AS(executor.start(), mk::TimeoutExpired);
  CHECK(elapsed < 5s);
}

TEST_CASE("a matcher of one's own") {
  mk::OutputExecutor executor{
      helper("print", "first\\nport 80\\n"),
      mk::BannerCheck{[](std::string_view line) { return line.starts_with("port "); }}};
  CHECK(executor.start().running());
}

TEST_CASE("a banner in a file that the output is appended to") {
  const test::TempDir directory;
  std::ofstream{directory / "log"} << "ready\n";  // of an earlier run: it does not count
  mk::Executor executor{mk::Shell{"sleep 0.1; echo ready; exec sleep 100"},
                        mk::ToFile{directory / "log"}, mk::BannerCheck{"ready"}};
  const test::Elapsed elapsed;
  executor.start();
  CHECK(elapsed >= 90ms);
}

TEST_CASE("the message names the banner") {
  mk::OutputExecutor executor{"sleep 100",
                              mk::BannerCheck{.pattern = "foo+", .stream = mk::Stream::err},
                              mk::TimeoutBudget{.start = 10ms}};
  try {
    executor.start();
    FAIL("start() returned");
  } catch (const mk::TimeoutExpired& error) {
    CHECK(std::string{error.what()}.find(
              "waited for: a line with 'foo+' on standard error, for ") != std::string::npos);
  }
}

TEST_CASE("a service that cuts its output off is read from the begin again") {
  mk::OutputExecutor executor{
      {"sh", "-c",
       "echo a line that is longer; sleep 0.1; : > /proc/self/fd/1; echo ready; exec sleep 300"},
      mk::BannerCheck{"ready"},
      mk::TimeoutBudget{.start = 5s}};
  executor.start();
  CHECK(executor.output() == "ready\n");
}
