// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <unistd.h>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/output/output_file.hpp>
#include <mirakuru/output/output_search.hpp>

#include "files.hpp"

namespace mk = mirakuru;
using mk::OutputFile;
using mk::OutputSearch;

namespace {

/// A file, its writer, and the run that a search reads.
class Log {
 public:
  explicit Log(const std::string& earlier = {}) {
    print(earlier);
    file_.keep();
  }
  ~Log() { ::close(writer_); }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void print(std::string_view text) const {
    REQUIRE(::write(writer_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  void cut(long size) const { REQUIRE(::ftruncate(writer_, size) == 0); }
  const OutputFile& file() const { return file_; }

 private:
  test::TempDir directory_;
  int writer_ = ::open((directory_ / "log").c_str(), O_WRONLY | O_APPEND | O_CREAT, 0600);
  OutputFile file_ = OutputFile::open(directory_ / "log");
};

/// Looks until all that can be read has been read.
bool look_through(OutputSearch& search) {
  bool found;
  do found = search.look();
  while (!found && search.more());
  return found;
}

}  // namespace

TEST_CASE("OutputSearch: finds a line when it comes") {
  const Log log;
  const mk::LineMatcher ready{"^ready$"};
  OutputSearch search{log.file(), ready};
  CHECK_FALSE(search.look());
  CHECK_FALSE(search.more());
  log.print("begun\nnot ready\n");
  CHECK_FALSE(search.look());
  CHECK_FALSE(search.more());
  log.print("rea");
  CHECK_FALSE(search.look());
  log.print("dy\nmore\n");
  CHECK(search.look());
}

TEST_CASE("OutputSearch: a last line without an end counts until it goes on") {
  const Log log;
  const mk::LineMatcher ready{"^ready$"};
  OutputSearch search{log.file(), ready};
  log.print("ready");
  CHECK(search.look());
  CHECK(search.look());
  log.print(" or not");
  CHECK_FALSE(search.look());
}

TEST_CASE("OutputSearch: sees the run's part of a file alone") {
  const Log log{"ready\n"};
  const mk::LineMatcher ready{"ready"};
  OutputSearch search{log.file(), ready};
  CHECK_FALSE(look_through(search));
  log.print("ready\n");
  CHECK(look_through(search));
}

TEST_CASE("OutputSearch: sees nothing in a file that is not kept") {
  const OutputFile none;
  const mk::LineMatcher ready{"ready"};
  OutputSearch search{none, ready};
  CHECK_FALSE(search.look());
  CHECK_FALSE(search.more());
  search.freeze();
  CHECK_FALSE(search.look());
  CHECK_FALSE(search.more());
}

TEST_CASE("OutputSearch: searches much output in several looks, and finds a line across blocks") {
  constexpr std::size_t block = 64 * 1024;
  const mk::LineMatcher matchers[] = {
      {"ready now"}, {"^ready +now$"}, {[](std::string_view line) { return line == "ready now"; }}};
  for (const auto& ready : matchers)
    for (const auto before : {block - 14, block - 9, block - 5, block - 1, block, 10 * block}) {
      const Log log;
      log.print(std::string(before - 1, 'x') + '\n');
      OutputSearch search{log.file(), ready};
      log.print("ready now\n");
      std::size_t looks = 1;
      bool found = search.look();
      for (; !found && search.more(); ++looks) found = search.look();
      CAPTURE(before);
      CHECK(found);
      CHECK(looks >= (before + 9 + block - 1) / block);  // some matchers need the line's end
      CHECK(looks <= (before + 10 + block - 1) / block);
    }
}

TEST_CASE("OutputSearch: a line that ends with the block may go on in the next one") {
  const Log log;
  const mk::LineMatcher ready{"^ready$"};
  OutputSearch search{log.file(), ready};
  log.print(std::string(64 * 1024 - 6, 'x') + "\nready");
  CHECK_FALSE(search.look());
  CHECK(search.more());
  CHECK(search.look());
  log.print(" or not\n");
  CHECK_FALSE(look_through(search));
}

TEST_CASE("OutputSearch: a look ends at its time, after one line") {
  const Log log;
  std::vector<std::string> seen;
  const mk::LineMatcher ready{[&seen](std::string_view line) {
    seen.emplace_back(line);
    return line == "three";
  }};
  OutputSearch search{log.file(), ready};
  log.print("one\ntwo\nthree\nfour\n");
  const mk::TimePoint past{};
  CHECK_FALSE(search.look(past));
  CHECK(search.more());
  CHECK(seen == std::vector<std::string>{"one"});
  CHECK_FALSE(search.look(past));
  CHECK(search.more());
  CHECK(search.look(past));
  CHECK(seen == std::vector<std::string>{"one", "two", "three"});
}

TEST_CASE("OutputSearch: a cut file is searched from the run's begin") {
  const Log log{"ready\n"};
  const mk::LineMatcher ready{"^ready$"};
  OutputSearch search{log.file(), ready};
  log.print("a long text ");
  CHECK_FALSE(look_through(search));
  log.cut(6);
  log.print("not ");
  CHECK_FALSE(look_through(search));
  log.cut(6);
  CHECK_FALSE(look_through(search));
  log.print("ready\n");
  CHECK(look_through(search));
}

TEST_CASE("OutputSearch: a file that is cut below the run's begin is searched from its own") {
  for (const std::string after : {"", "more than there was\n"}) {
    const Log log{"ready\nand more\n"};
    const mk::LineMatcher ready{"^ready$"};
    OutputSearch search{log.file(), ready};
    log.print("begun");
    CHECK_FALSE(look_through(search));
    log.cut(0);
    CHECK_FALSE(look_through(search));
    log.print(after + "ready\n");
    CHECK(look_through(search));
  }
}

TEST_CASE("OutputSearch: a file that is cut and has grown since is searched again") {
  const mk::LineMatcher ready{"^ready"};
  SUBCASE("it is this run's alone") {
    const Log log;
    OutputSearch search{log.file(), ready};
    log.print("a begin\n");
    CHECK_FALSE(look_through(search));
    log.cut(0);
    log.print("ready, and a lot more\n");
    CHECK(look_through(search));
  }
  SUBCASE("the text of an earlier run is gone, too") {
    const Log log{"old\n"};
    OutputSearch search{log.file(), ready};
    SUBCASE("before the first look") {}
    SUBCASE("after a look") {
      log.print("a begin\n");
      CHECK_FALSE(look_through(search));
    }
    log.cut(0);
    log.print("ready, and a lot more\n");
    CHECK(look_through(search));
  }
  SUBCASE("the text of an earlier run is still there, and does not count") {
    const Log log{"ready\nsteady\n"};
    OutputSearch search{log.file(), ready};
    log.print("a begin\n");
    CHECK_FALSE(look_through(search));
    log.cut(13);
    log.print("something else, and a lot more\n");
    CHECK_FALSE(look_through(search));
    log.print("ready\n");
    CHECK(look_through(search));
  }
  SUBCASE("after much text, in the middle of a line") {
    const Log log;
    OutputSearch search{log.file(), ready};
    for (int i = 0; i < 5'000; ++i) log.print("line " + std::to_string(i) + " of many\n");
    log.print("half");
    CHECK_FALSE(look_through(search));
    log.cut(0);
    log.print("ready\n" + std::string(200'000, 'x'));
    CHECK(look_through(search));
  }
}

TEST_CASE("OutputSearch: after freeze() later text is not seen") {
  const Log log;
  const mk::LineMatcher ready{"ready"};
  OutputSearch early{log.file(), ready}, late{log.file(), ready}, read{log.file(), ready};
  log.print(std::string(200'000, 'x') + '\n');
  CHECK_FALSE(look_through(read));
  early.freeze();
  read.freeze();
  log.print("ready\n");
  late.freeze();
  CHECK_FALSE(look_through(early));
  CHECK_FALSE(look_through(read));
  CHECK(look_through(late));
  for (auto* search : {&early, &read}) CHECK_FALSE(search->more());
}

TEST_CASE("OutputSearch: after freeze() a last line without an end counts") {
  const Log log;
  const mk::LineMatcher ready{"^ready$"};
  OutputSearch search{log.file(), ready};
  log.print("ready");
  search.freeze();
  log.print(" or not\n");
  CHECK(look_through(search));
}

TEST_CASE("OutputSearch: can be moved in the middle of a line") {
  const Log log;
  const mk::LineMatcher ready{"^ready +now$"};
  std::vector<OutputSearch> searches;
  searches.emplace_back(log.file(), ready);
  log.print("ready ");
  CHECK_FALSE(searches.front().look());
  searches.emplace_back(log.file(), ready);
  log.print("now\n");
  for (auto& search : searches) CHECK(search.look());
}

TEST_CASE("OutputSearch: a file that cannot be read is an error") {
  const test::TempDir directory;
  OutputFile file{mk::detail::UniqueFd{
      ::open((directory / "log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)}};
  file.keep();
  const mk::LineMatcher ready{"ready"};
  OutputSearch search{file, ready};
  CHECK_THROWS_AS(search.look(), std::system_error);
}
