// SPDX-License-Identifier: BSL-1.0
#include <sys/resource.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/text/line_search.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::helper;
using test::in_time;
using test::resident_bytes;

namespace {

/// True if the matcher finds its line in the pieces, which come one after another.
bool found(const mk::LineMatcher& matcher, std::initializer_list<std::string_view> pieces) {
  mk::LineSearch search{matcher};
  for (const auto piece : pieces)
    if (search.feed(piece)) return true;
  return false;
}

/// The cost of the wait for a banner: the time that a start adds to the command's own, and the
/// processor time of this process. It is the best of three runs.
struct Cost {
  std::chrono::nanoseconds delay = {}, work = std::chrono::hours{1};

  Cost(std::vector<std::string> command, const mk::LineMatcher& matcher) {
    auto watched = std::chrono::steady_clock::duration::max(), alone = watched;
    for (int i = 0; i < 3; ++i) {
      mk::OutputExecutor executor{command, mk::BannerCheck{matcher}, in_time};
      const test::Elapsed elapsed;
      const auto before = processor_time();
      executor.start();
      work = std::min(work, processor_time() - before);
      watched = std::min(watched, elapsed.time());
    }
    command.emplace_back("exit=0");
    for (int i = 0; i < 3; ++i) {
      const test::Elapsed elapsed;
      mk::SimpleExecutor{command}.start().wait();
      alone = std::min(alone, elapsed.time());
    }
    delay = watched - alone;
  }

  /// On a busy machine the delay comes from others, the work does not.
  [[nodiscard]] bool below(std::chrono::nanoseconds limit) const {
    return delay < 10 * limit && std::min(delay, work) < limit;
  }

 private:
  static std::chrono::nanoseconds processor_time() {
    timespec time{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
  }
};

}  // namespace

TEST_CASE("LineSearch: a banner is found in any pieces of the text") {
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

TEST_CASE("LineSearch: a line without an end counts, anchors are per line [difference 4]") {
  CHECK(found("\\$ $", {"welcome\n", "user$ "}));
  CHECK(found("^READY", {"some line\nREADY\n"}));
  CHECK_FALSE(found("^READY", {"not ", "READY\n"}));
  CHECK(found("READY$", {"READY\nmore\n"}));
  CHECK_FALSE(found("READY$", {"READY or not\n"}));
}

TEST_CASE("LineSearch: a carriage return at the end of a line does not belong to it") {
  const auto is_it = [](std::string_view line) { return line == "READY"; };
  for (const mk::LineMatcher& matcher : {mk::LineMatcher{"^READY$"}, mk::LineMatcher{is_it}}) {
    CHECK(found(matcher, {"READY\r\n"}));
    CHECK(found(matcher, {"no\r\nREADY\r\nno\r\n"}));
    CHECK(found(matcher, {"no\r", "\nREADY\r", "\n"}));
    CHECK(found(matcher, {"no\nREADY", "\r", "\nno"}));
    CHECK_FALSE(found(matcher, {"READY\rno\r\n"}));
    CHECK_FALSE(found(matcher, {"no\rREADY\r\n"}));
  }
  CHECK_FALSE(found("READY.", {"READY\r\n"}));
}

TEST_CASE("LineSearch: a line that goes on does not count as ended") {
  const auto is_it = [](std::string_view line) { return line == "READY"; };
  for (const mk::LineMatcher& matcher : {mk::LineMatcher{"^READY$"}, mk::LineMatcher{is_it}}) {
    mk::LineSearch search{matcher};
    search.take("no\nREADY");
    CHECK_FALSE(search.found_for_good());
    search.take(" or not\n");
    CHECK_FALSE(search.found());
    search.take("READY");
    CHECK(search.found());
    CHECK(search.found());
    search.restart();
    CHECK_FALSE(search.found());
    search.take("READY\nno");
    CHECK(search.found_for_good());
  }
}

TEST_CASE("LineSearch: a callable is called once for a line that has not grown") {
  int calls = 0;
  const mk::LineMatcher matcher{
      [&](std::string_view line) { return ++calls > 100 || line == "x"; }};
  mk::LineSearch search{matcher};
  search.take("one\ntwo");
  CHECK(calls == 1);
  CHECK_FALSE(search.found());
  CHECK_FALSE(search.found());
  CHECK(calls == 2);
  search.take(" and more");
  CHECK_FALSE(search.found());
  CHECK(calls == 3);
}

TEST_CASE("LineSearch: a callable's search stops after a line when its time is over") {
  int calls = 0;
  const mk::LineMatcher matcher{[&](std::string_view) { return ++calls < 0; }};
  mk::LineSearch search{matcher};
  CHECK(search.take("one\ntwo\nthree\n", {}) == 4);
  CHECK(calls == 1);
}

TEST_CASE("LineSearch: NUL and other bytes are matched as bytes [difference 4]") {
  CHECK(found("b+c", {std::string_view("a\0bbc", 5)}));
  CHECK(found("a.b", {std::string_view("a\0b", 3)}));
  CHECK(found("bc", {std::string_view("a\0bc\xff\xfe", 6)}));
  CHECK(found("\xc3\xa9+", {"caf\xc3", "\xa9\n"}));
  CHECK(found("x\\d", {"\xff\xfex1"}));
}

TEST_CASE("LineSearch: a callable's line is bounded") {
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

TEST_CASE("BannerCheck: wrong banners are refused") {
  CHECK_THROWS_AS(static_cast<void>(mk::BannerCheck{""}), std::invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(mk::BannerCheck{"(open"}), std::invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(mk::BannerCheck{"two\nlines"}), std::invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(mk::BannerCheck{"two\\nlines"}), std::invalid_argument);
}

TEST_CASE("BannerCheck: an expression may end in the line's end") {
  for (const char* pattern :
       {".*database system is ready to accept connections.*\\s",
        ".*ready to accept connections.*\\n", "connections\\r?\\n", "(?i)CONNECTIONS\\s+$"})
    for (const char* end : {"\\n", "\\r\\n", ""}) {
      CAPTURE(pattern);
      CAPTURE(end);
      const std::string line = "LOG:  database system is ready to accept connections";
      mk::OutputExecutor executor{mk::Shell{"printf '" + line + end + "'; exec sleep 100"},
                                  mk::BannerCheck{pattern}, in_time};
      CHECK(executor.start().running());
    }
}

TEST_CASE("BannerCheck: an output without a byte has no line") {
  mk::OutputExecutor executor{"sleep 100", mk::BannerCheck{"^\\s*$"},
                              mk::TimeoutBudget{.start = 300ms}};
  CHECK_THROWS_AS(executor.start(), mk::TimeoutExpired);
}

TEST_CASE("BannerCheck: a banner on standard output [scenario 35]") {
  mk::OutputExecutor executor{mk::Shell{"sleep 0.1; echo foo; echo bar; exec sleep 100"},
                              mk::BannerCheck{"foo"}, in_time};
  executor.start();
  CHECK(executor.running());
  executor.wait_for([&] { return executor.output() == "foo\nbar\n"; });
}

TEST_CASE("BannerCheck: a banner on standard error [scenario 36]") {
  const auto command = mk::Shell{"sleep 0.1; echo foo >&2; echo bar >&2; exec sleep 100"};
  mk::OutputExecutor any{command, mk::BannerCheck{"foo"}, in_time};
  mk::OutputExecutor named{command, mk::BannerCheck{.pattern = "foo", .stream = mk::Stream::err},
                           in_time};
  for (auto* executor : {&any, &named}) {
    executor->start();
    CHECK(executor->running());
    executor->wait_for([&] { return executor->err_output() == "foo\nbar\n"; });
  }
  mk::OutputExecutor other{command, mk::BannerCheck{.pattern = "foo", .stream = mk::Stream::out},
                           mk::TimeoutBudget{.start = 400ms}};
  CHECK_THROWS_AS(other.start(), mk::TimeoutExpired);
  mk::OutputExecutor opposite{mk::Shell{"echo foo; exec sleep 100"},
                              mk::BannerCheck{.pattern = "foo", .stream = mk::Stream::err},
                              mk::TimeoutBudget{.start = 400ms}};
  CHECK_THROWS_AS(opposite.start(), mk::TimeoutExpired);
}

TEST_CASE("BannerCheck: a banner that never comes is a timeout [scenario 37]") {
  mk::OutputExecutor executor{mk::Shell{"echo bar; exec sleep 100"}, mk::BannerCheck{"foobar"},
                              mk::TimeoutBudget{.start = 300ms}};
  const test::Elapsed elapsed;
  CHECK_THROWS_AS(executor.start(), mk::TimeoutExpired);
  CHECK(elapsed < 5s);
  CHECK_FALSE(executor.running());
}

TEST_CASE("BannerCheck: a banner in two writes [scenario 38]") {
  mk::OutputExecutor executor{mk::Shell{"printf foo; sleep 0.2; printf bar; echo"},
                              mk::BannerCheck{"foobar"}, in_time};
  executor.start().wait();
  CHECK(executor.output() == "foobar\n");
}

TEST_CASE("BannerCheck: the whole message of a time-out without output has a hint") {
  const auto message = [](mk::Stream stream) {
    const auto start = [&](std::chrono::milliseconds budget) {
      mk::OutputExecutor{mk::Shell{"echo up >&2; exec sleep 300"},
                         mk::BannerCheck{.pattern = "ready", .stream = stream},
                         mk::TimeoutBudget{.start = budget}}
          .start();
    };
    const auto text = test::message_of_timeout(100ms, start, "\n    up");
    return test::timeless(text, "timed out after ");
  };
  CHECK(test::timeless(message(mk::Stream::out)) ==
        "timed out after T\n  command: echo up >&2; exec sleep 300\n  started at: L\n"
        "  waited for: a line with 'ready' on standard output, for T\n"
        "  note: output that goes to a file is often buffered: try python3 -u or stdbuf -oL\n"
        "  the end of standard error:\n    up");
  CHECK(message(mk::Stream::both).find("buffered") == std::string::npos);

  mk::OutputExecutor quiet{"sleep 300", mk::BannerCheck{"ready"}, mk::TimeoutBudget{.start = 50ms}};
  CHECK(test::timeless(test::message_of<mk::TimeoutExpired>([&] { quiet.start(); })) ==
        "timed out after 50 ms\n  command: sleep 300\n  started at: L\n"
        "  waited for: a line with 'ready', for T\n"
        "  note: it has printed nothing\n"
        "  note: output that goes to a file is often buffered: try python3 -u or stdbuf -oL");
}

TEST_CASE("BannerCheck: an end without the banner is an error [scenario 38b, difference 3]") {
  mk::OutputExecutor executor{"echo foo", mk::BannerCheck{"foobar"},
                              mk::TimeoutBudget{.start = 30s}};
  const test::Elapsed elapsed;
  CHECK_THROWS_AS(executor.start(), mk::ProcessExitedWithError);
  CHECK(elapsed < 10s);
}

TEST_CASE("BannerCheck: sixty thousand lines before the banner [scenario 39]") {
  mk::OutputExecutor executor{helper("flood", "4860000", "then=the banner"),
                              mk::BannerCheck{"the banner"}, in_time};
  executor.start();
  CHECK(executor.running());
}

TEST_CASE("BannerCheck: an end before the banner is an error, without a busy loop [defect 1]") {
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  mk::OutputExecutor executor{helper("exit", "0", "out=other\\n", "after=300"),
                              mk::BannerCheck{"banner"}, in_time};
  CHECK_THROWS_AS(executor.start(), mk::ProcessExitedWithError);
  ::getrusage(RUSAGE_SELF, &after);
  const auto used = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000 +
                    (after.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1000;
  CHECK(used < 150);
}

TEST_CASE("BannerCheck: a split banner, one without a newline, one in line two [defect 2]") {
  mk::OutputExecutor split{helper("print", "foo", "bar\\n", "split=50"), mk::BannerCheck{"foobar"},
                           in_time};
  CHECK(split.start().running());
  mk::OutputExecutor prompt{helper("print", "user$ "), mk::BannerCheck{"\\$ $"}, in_time};
  CHECK(prompt.start().running());
  mk::OutputExecutor second{helper("print", "first\\nREADY\\n"), mk::BannerCheck{"^READY"},
                            in_time};
  CHECK(second.start().running());
}

TEST_CASE("BannerCheck: five megabytes before the banner cost little time [defect 10]") {
  constexpr auto little = test::sanitized ? 8s : 200ms;
  const std::string size = test::sanitized ? "1620000" : "4860000";
  for (const char* banner : {"ready now", "ready +now", "THE.*END|ready now$"}) {
    CHECK(Cost{helper("flood", size, "then=ready now"), banner}.below(little));
    CHECK(Cost{helper("flood", size, "write=81", "then=ready now"), banner}.below(little));
  }
}

TEST_CASE("BannerCheck: a line of 64 megabytes without an end costs little") {
  constexpr auto little = test::sanitized ? 5s : 500ms;  // without optimisation
  const std::string size = test::sanitized ? "8000000" : "64000000";
  for (const char* banner :
       {"the end", "the +end", ".*the end", "(a|b|c)+the end", "THE.*END|end$"}) {
    const auto before = resident_bytes();
    const auto command = helper("flood", size, "line=0", "then=abcthe end");
    const Cost cost{command, banner};
    CHECK(cost.below(little));
    const auto more = resident_bytes() - before;
    CHECK((test::sanitized || more < 4'000'000));  // freed memory stays resident there
  }
}

TEST_CASE("BannerCheck: a banner counts after a good end, not after a bad one") {
  for (int i = 0; i < 20; ++i) {
    mk::OutputExecutor good{"echo foobar", mk::BannerCheck{"foobar"}, in_time};
    good.start();
    mk::OutputExecutor bad{mk::Shell{"echo foobar; exit 3"}, mk::BannerCheck{"foobar"}, in_time};
    try {
      bad.start();
      bad.wait();  // the banner came before the end
    } catch (const mk::ProcessExitedWithError& error) {
      CHECK(error.exit_code() == 3);
    }
    CHECK(bad.exit_code() == 3);
  }
}

TEST_CASE("BannerCheck: a banner after much output counts when the process ends at once") {
  const auto slow = [](std::string_view line) {
    return std::count(line.begin(), line.end(), 'y') < 0 || line == "READY";
  };
  for (const mk::LineMatcher& matcher :
       {mk::LineMatcher{"READY"}, mk::LineMatcher{"R.ADY$"}, mk::LineMatcher{slow}})
    for (int i = 0; i < 5; ++i) {
      mk::OutputExecutor executor{
          mk::Shell{"head -c 5000000 /dev/zero | tr '\\0' y; echo; echo READY"},
          mk::BannerCheck{matcher}, in_time};
      executor.start();
      CHECK(executor.wait().exit_code() == 0);
    }
}

TEST_CASE("BannerCheck: two banners count one after the other") {
  mk::Executor executor{mk::Shell{"echo one; echo two >&2"}, mk::BannerCheck{"one"},
                        mk::BannerCheck{"two"}, in_time};
  executor.start();
  mk::Executor none{mk::Shell{"echo one"}, mk::BannerCheck{"one"}, mk::BannerCheck{"two"}, in_time};
  CHECK_THROWS_AS(none.start(), mk::ProcessExitedWithError);
}

TEST_CASE("BannerCheck: a process that never stops printing does not delay the deadline") {
  mk::OutputExecutor executor{{"yes"}, mk::BannerCheck{"no"}, mk::TimeoutBudget{.start = 200ms}};
  const test::Elapsed elapsed;
  CHECK_THROWS_AS(executor.start(), mk::TimeoutExpired);
  CHECK(elapsed < 5s);
}

TEST_CASE("BannerCheck: a user's matcher is called with each line") {
  mk::OutputExecutor executor{
      helper("print", "first\\nport 80\\n"),
      mk::BannerCheck{[](std::string_view line) { return line.starts_with("port "); }}, in_time};
  CHECK(executor.start().running());
  // A prompt has no newline.
  mk::OutputExecutor prompt{helper("print", "welcome\\nuser$ "),
                            mk::BannerCheck{[](std::string_view line) { return line == "user$ "; }},
                            in_time};
  CHECK(prompt.start().running());
}

TEST_CASE("BannerCheck: a user's matcher is as it was given at each start and wait_for()") {
  // Its state is right for one search alone.
  const mk::BannerCheck third{[lines = 0](std::string_view) mutable { return ++lines == 3; }};
  mk::OutputExecutor executor{mk::Shell{"while :; do echo line; sleep 0.01; done"}, third, in_time};
  for (int start = 0; start < 2; ++start) {
    CAPTURE(start);
    CHECK(executor.start().running());
    CHECK(test::count(executor.output(), "line\n") >= 3);
    for (int wait = 0; wait < 2; ++wait) CHECK(executor.wait_for(third, 30s).running());
    executor.stop();
  }
}

TEST_CASE("BannerCheck: a banner in a file that the output is appended to") {
  const test::TempDir directory;
  std::ofstream{directory / "log"} << "ready\n";  // an earlier run does not count
  mk::Executor executor{mk::Shell{"sleep 0.1; echo ready; exec sleep 100"},
                        mk::ToFile{directory / "log"}, mk::BannerCheck{"ready"}, in_time};
  const test::Elapsed elapsed;
  executor.start();
  CHECK(elapsed >= 90ms);
}

TEST_CASE("BannerCheck: a file cut below its old size is read from its beginning") {
  const test::TempDir directory;
  const auto log = directory / "log";
  for (const std::string& after : {std::string{}, "echo more than there was >> " + log + "; "}) {
    std::ofstream{log} << std::string(10, 'x');
    mk::Executor executor{mk::Shell{"printf begun; sleep 0.1; : > " + log + "; sleep 0.1; " +
                                    after + "echo ready; exec sleep 100"},
                          mk::ToFile{log}, mk::BannerCheck{"^ready$"},
                          mk::TimeoutBudget{.start = 30s}};
    executor.start();
    CHECK(executor.output().ends_with("ready\n"));
  }
  // The deadline holds for it, too.
  std::ofstream{log} << std::string(1000, 'x');
  mk::Executor never{mk::Shell{": > " + log + "; exec sleep 100"}, mk::ToFile{log},
                     mk::BannerCheck{"ready"}, mk::TimeoutBudget{.start = 200ms}};
  const test::Elapsed elapsed;
  CHECK_THROWS_AS(never.start(), mk::TimeoutExpired);
  CHECK(elapsed < 5s);
}

TEST_CASE("BannerCheck: neither unread output nor a slow expression delays the deadline") {
  constexpr auto soon = 500ms;  // to read all of it takes seconds
  const auto late = [=](mk::LineMatcher matcher, const std::string& command) {
    mk::OutputExecutor executor{mk::Shell{command}, mk::BannerCheck{std::move(matcher)},
                                mk::TimeoutBudget{.start = 500ms}};
    auto least = std::chrono::milliseconds::max();
    for (int i = 0; i < 10 && least > soon; ++i) {
      const test::Elapsed elapsed;
      CHECK_THROWS_AS(executor.start(), mk::TimeoutExpired);
      least = std::min(least, elapsed.ms() - 500ms);
    }
    return least;
  };
  const std::string lines = "yes | head -c 300000000; exec sleep 100";
  CHECK(late("n+o", lines) < soon);
  CHECK(late({[](std::string_view line) { return line == "no"; }}, lines) < soon);
  const std::string random =
      "head -c 2000000 /dev/urandom | tr '\\000-\\177' a | tr -c a x; exec sleep 100";
  CHECK(late("[ax]*a[ax]{14}y", random) < soon);
  CHECK(late("[ax]*a[ax]{900}y", random) < soon);
}

TEST_CASE("BannerCheck: the kernel wakes the wait, so few attempts are enough") {
  mk::OutputExecutor executor{helper("print", "not yet\\n", "ready\\n", "split=600"),
                              mk::BannerCheck{"^ready$"}, in_time};
  executor.start();
  CHECK(executor.timeline().ready - executor.timeline().spawned >= 600ms);
  CHECK(executor.timeline().checks[0].attempts <= 20);
}

TEST_CASE("BannerCheck: a process that prints all the time costs few attempts") {
  mk::OutputExecutor executor{helper("flood", "4860000", "write=81", "then=ready"),
                              mk::BannerCheck{"^ready$"}, in_time};
  const test::Elapsed elapsed;
  executor.start();
  const auto most = 200 + 5 * elapsed.ms().count();
  CHECK(executor.timeline().checks[0].attempts < static_cast<std::size_t>(most));
}

TEST_CASE("BannerCheck: the message names the banner") {
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

TEST_CASE("BannerCheck: output that the service truncates is read from its beginning") {
  mk::OutputExecutor executor{
      {"sh", "-c",
       "echo a line that is longer; sleep 0.1; : > /proc/self/fd/1; echo ready; exec sleep 300"},
      mk::BannerCheck{"ready"},
      in_time};
  executor.start();
  CHECK(executor.output() == "ready\n");
}

TEST_CASE("BannerCheck: many executors need few inotify instances") {
  const auto instances = [] {
    int count = 0;
    for (const int fd : test::open_fds()) {
      std::error_code ignored;
      const auto link =
          std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), ignored);
      count += link == "anon_inode:inotify";
    }
    return count;
  };
  {
    std::vector<mk::OutputExecutor> executors;
    for (int i = 0; i < 30; ++i) {
      executors.emplace_back(mk::Argv{test::helper(), "print", "ready"}, mk::BannerCheck{"ready"});
      executors.back().start();
    }
    CHECK(instances() <= 16);
  }
  CHECK(instances() == 0);
}

TEST_CASE("BannerCheck: a time-out tells that the output has the pattern as plain text") {
  const auto message = [](const std::string& pattern) {
    const auto start = [&](std::chrono::milliseconds budget) {
      mk::OutputExecutor{helper("print", "cost (in total) 5\n"), mk::BannerCheck{pattern},
                         mk::TimeoutBudget{.start = budget}}
          .start();
    };
    return test::message_of_timeout(100ms, start, "\n    cost (in total) 5");
  };
  const std::string note =
      "\n  note: the output has the pattern as plain text: put a \\ before its ";
  CHECK(message("cost (in total)").find(note) != std::string::npos);
  CHECK(message("cost (in sum)").find(note) == std::string::npos);
}

TEST_CASE("BannerCheck: a time-out of wait_for() tells that an earlier line matches") {
  const auto note = [](auto& executor, mk::BannerCheck check) {
    const auto message = test::message_of<mk::TimeoutExpired>(
        [&] { executor.start().wait_for(std::move(check), 100ms); });
    const auto at = message.find("\n  note: ");
    return at == message.npos ? "" : message.substr(at + 9, message.find('\n', at + 9) - at - 9);
  };
  const mk::Shell listens{"echo Listening; exec sleep 300"};
  mk::OutputExecutor executor{listens, mk::BannerCheck{"Listening"}};
  const std::string earlier =
      "a line before the call of wait_for() matches; it looks at output from the call on";
  CHECK(note(executor, {"Listening"}) == earlier);
  CHECK(note(executor, {"^Listen"}) == earlier);
  CHECK(note(executor, {"Listening", mk::Stream::out}) == earlier);
  // Nothing may be buffered: the command has printed something before.
  CHECK(note(executor, {"Serving"}) == "");
  // The stream in question is empty.
  CHECK(note(executor, {"Listening", mk::Stream::err}).starts_with("output that goes to a file"));
}
