// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/report/advice.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "process.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::disk_advice;
using mk::detail::shell_advice;
using mk::detail::silence_advice;

namespace {

std::string of(const std::string& line) { return shell_advice(mk::Argv{line}.words()); }

std::string plain(const std::string& word) {
  return "'" + word + "' is a plain word here; a line for a shell is mk::Shell{\"...\"}";
}

}  // namespace

TEST_CASE("shell_advice: words that only a shell understands are named") {
  CHECK(of("make -j2 && ./server") == plain("&&"));
  CHECK(of("a | b") == plain("|"));
  CHECK(of("a || b") == plain("||"));
  CHECK(of("a; b") == plain("a;"));
  CHECK(of("a ; b") == plain(";"));
  CHECK(of("sleep 60 > file") == plain(">"));
  CHECK(of("sleep 60 >file") == plain(">file"));
  CHECK(of("sleep 60 2>&1") == plain("2>&1"));
  CHECK(of("sort < file") == plain("<"));
  CHECK(of("ls $HOME/bin") == plain("$HOME/bin"));
  CHECK(of("ls ${HOME}") == plain("${HOME}"));
  CHECK(of("~/bin/server") == plain("~/bin/server"));
  CHECK(of("cat *.conf") == plain("*.conf"));
  CHECK(of("cat /etc/*") == plain("/etc/*"));
  CHECK(of("echo a&&sleep 60") == plain("a&&sleep"));
  CHECK(of("make||exit") == plain("make||exit"));
  CHECK(of("sleep 1&") == plain("1&"));
  CHECK(of("echo `date`") == plain("`date`"));
  CHECK(of("echo `date +%s`") == plain("`date"));
  // An option of another program ends no search, nor does the line of an interpreter.
  CHECK(of("echo -c && x") == plain("&&"));
  CHECK(of("nginx -c f && x") == plain("&&"));
  CHECK(of("sh -c 'a && b' | c") == plain("|"));
  CHECK(of("awk '$x && $y' file | c") == plain("|"));
  CHECK(of("PORT=80 node srv.js") ==
        "'PORT=80' is the program here; a variable is Command{.env = {{\"PORT\", \"80\"}}}");
}

TEST_CASE("shell_advice: ordinary words, and those of another program, are left alone") {
  for (const auto* line :
       {"redis-server --port 80", "./a=b/server", "sh -c 'a && b $c'", "perl -we 'print $x'",
        "env -i /bin/bash -lc 'a && b $c'", "python3.11 -c 'a||b'", "node -e a&&b",
        "ruby -ne '`x`'", "awk -F: '$x&&$y' file", "sed -n 's/*;//p' file",
        "curl http://x/?a=1&b=2", "curl http://x/?a=1&", "sql --command 'select a || b, `c`;'",
        "psql -c 'select $a'", "echo 5$ a~b '#'", "awk --re-interval x", "=x",
        "find . -name x\\*y"})
    CHECK(of(line).empty());
  CHECK(shell_advice({}).empty());
}

TEST_CASE("silence_advice: it is about output that is kept") {
  auto streams = mk::Capture{}.open();
  CHECK(silence_advice(streams).empty());
  streams.keep();
  CHECK(silence_advice(streams) == "it has printed nothing");
  REQUIRE(::write(streams.err().fd(), "x", 1) == 1);
  CHECK(silence_advice(streams).empty());
  CHECK(disk_advice(streams).empty());
  CHECK(silence_advice({}).empty());
}

TEST_CASE("disk_advice: a full disk of the output is named") {
  // /dev/full is no file; a small file system needs root.
  const test::TempDir directory;
  const mk::Command mounted{.argv = "mount -t tmpfs -o size=64k none " + directory.path() +
                                    " && yes > " + (directory / "out") +
                                    " 2>/dev/null; exec sleep 300",
                            .shell = true};
  if (::geteuid() != 0) return;
  const std::vector<std::string> words{"unshare", "--mount", "sh", "-c", mounted.argv.line()};
  mk::Executor other{words, mk::TimeoutBudget{.start = 20s}};
  const auto full = [&] {
    return "/proc/" + std::to_string(other.pid()) + "/root" + (directory / "out");
  };
  other.start();
  std::string advice;
  const auto is_full = [&] {
    if (!test::exists(full())) return false;
    auto file = mk::OutputFile::open(full());
    file.keep();
    advice = disk_advice(mk::OutputStreams{std::move(file), {}});
    return !advice.empty();
  };
  try {
    other.wait_for(is_full, 10s);
  } catch (const mk::ExecutorError& error) {
    MESSAGE("skipped, nothing can be mounted: ", error.what());
    return;
  }
  CHECK(advice == "the file system of its output is full, so that output may be missing");
}

TEST_CASE("leader_advice: a leader that has left its tree is named in the error") {
  const auto tag = test::mark();
  const auto start = [&](std::chrono::milliseconds budget) {
    mk::Executor{mk::Shell{test::helper() + " sleep 60000 " + tag + " & exit 0"},
                 [](const mk::Process&) { return false; }, mk::TimeoutBudget{.start = budget}}
        .start();
  };
  const auto message = test::message_of_timeout(100ms, start, tag + ')');
  CHECK(message.find("  note: its own process exited with code 0; still there: pid ") <
        message.find(tag + ')'));
}
