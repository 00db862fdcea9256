// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/text/line_search.hpp>

namespace mk = mirakuru;
using namespace std::string_literals;

namespace {

/// True if the matcher finds its line in the pieces.
bool found(const mk::LineMatcher& matcher, std::initializer_list<std::string_view> pieces) {
  mk::LineSearch search{matcher};
  for (const auto piece : pieces)
    if (search.feed(piece)) return true;
  return false;
}

/// A callable that matches one line, and the same line as an expression.
std::vector<mk::LineMatcher> matchers_of_line(const std::string& line) {
  return {mk::LineMatcher{'^' + line + '$'},
          mk::LineMatcher{[line](std::string_view given) { return given == line; }}};
}

/// Collects the lines that a callable gets, and matches none.
struct Lines {
  std::vector<std::string> got;
  mk::LineMatcher matcher{[this](std::string_view line) {
    got.emplace_back(line);
    return false;
  }};
};

}  // namespace

TEST_CASE("LineSearch: a text across two pieces is found") {
  CHECK(found("listening", {"list", "ening"}));
  CHECK(found("listening", {"l", "i", "s", "t", "e", "n", "i", "n", "g"}));
  CHECK(found("listening", {"list", "", "ening"}));
  CHECK_FALSE(found("listening", {"list", "enin"}));
  CHECK_FALSE(found("listening", {"list", "\n", "ening"}));
  CHECK_FALSE(found("listening", {"ening", "list"}));
  CHECK(found("aab", {"aa", "ab"}));
  CHECK(found("x", {"", "x"}));
}

TEST_CASE("LineSearch: each way to cut a text into pieces gives the same answer") {
  const std::string text = "one\ntwo three\nlistening on 80\nfour";
  auto matchers = matchers_of_line("listening on 80");
  matchers.emplace_back("listening on 80");
  for (const auto& matcher : matchers) {
    CAPTURE(matcher.expression());
    for (std::size_t i = 0; i <= text.size(); ++i)
      for (std::size_t j = i; j <= text.size(); ++j) {
        const std::string_view all{text};
        CHECK(found(matcher, {all.substr(0, i), all.substr(i, j - i), all.substr(j)}));
      }
    mk::LineSearch bytewise{matcher};
    std::size_t at = 0;
    while (at < text.size() && !bytewise.feed({&text[at++], 1})) {
    }
    CHECK(at == text.find(" 80") + 3);
    CHECK_FALSE(found(matcher, {"listening", "\n", " on 80\n"}));
  }
}

TEST_CASE("LineSearch: a carriage return before a newline belongs to the line's end") {
  for (const auto& matcher : matchers_of_line("up")) {
    CAPTURE(matcher.expression());
    CHECK(found(matcher, {"up\r\n"}));
    CHECK(found(matcher, {"no\r", "\nup\r", "\n"}));
    CHECK(found(matcher, {"no\nup", "\r", "\nno"}));
    CHECK_FALSE(found(matcher, {"up\rno\r\n"}));
    CHECK_FALSE(found(matcher, {"no\rup\r\n"}));
  }
}

TEST_CASE("LineSearch: only one carriage return belongs to the line's end") {
  for (const auto& matcher : matchers_of_line("up")) {
    CAPTURE(matcher.expression());
    CHECK_FALSE(found(matcher, {"up\r\r\n"}));
    CHECK_FALSE(found(matcher, {"up\r\r"}));
  }
  for (const auto& matcher : matchers_of_line("up\r")) {
    CAPTURE(matcher.expression());
    CHECK(found(matcher, {"up\r\r\n"}));
    CHECK(found(matcher, {"up\r\r"}));
  }
}

TEST_CASE("LineSearch: an empty line needs an end") {
  for (const auto& matcher : matchers_of_line("")) {
    CAPTURE(matcher.expression());
    CHECK_FALSE(found(matcher, {""}));
    CHECK_FALSE(found(matcher, {"a\n"}));
    CHECK_FALSE(found(matcher, {"a", "\n", ""}));
    CHECK(found(matcher, {"a\n", "\n"}));
    CHECK(found(matcher, {"a\n", "\r"}));
    mk::LineSearch search{matcher};
    CHECK(search.feed("\r"));
    search.restart();
    CHECK_FALSE(search.found());
  }
}

TEST_CASE("LineSearch: an unfinished line matches until it goes on") {
  for (const auto& matcher : matchers_of_line("up")) {
    CAPTURE(matcher.expression());
    mk::LineSearch search{matcher};
    CHECK_FALSE(search.feed({}));
    CHECK(search.feed("no\nup"));
    CHECK_FALSE(search.found_for_good());
    CHECK(search.found());
    CHECK_FALSE(search.feed(" or not"));
    CHECK_FALSE(search.feed("\n"));
    CHECK(search.feed("up"));
    CHECK(search.feed("\n"));
    CHECK(search.found_for_good());
    CHECK(search.feed("more\n"));
  }
}

TEST_CASE("LineSearch: a plain text is found for good at once") {
  const mk::LineMatcher matcher{"up"};
  mk::LineSearch search{matcher};
  CHECK(search.feed("up"));
  CHECK(search.found_for_good());
  CHECK(search.feed(" or not"));
}

TEST_CASE("LineSearch: restart() forgets the text so far") {
  auto matchers = matchers_of_line("up");
  matchers.emplace_back("up");
  for (const auto& matcher : matchers) {
    CAPTURE(matcher.expression());
    mk::LineSearch search{matcher};
    search.take("u");
    search.restart();
    CHECK_FALSE(search.feed("p\n"));
    CHECK(search.feed("up\n"));
    search.restart();
    CHECK_FALSE(search.found());
    CHECK_FALSE(search.found_for_good());
    CHECK(search.feed("up"));
  }
}

TEST_CASE("LineSearch: a callable gets each line once, without its end") {
  Lines lines;
  mk::LineSearch search{lines.matcher};
  search.take("one\ntw");
  search.take("o\r\n\nfo\0ur\n\xff\xfe\n"s);
  CHECK(lines.got == std::vector{"one"s, "two"s, ""s, "fo\0ur"s, "\xff\xfe"s});
}

TEST_CASE("LineSearch: a callable gets an unfinished line again only if it has grown") {
  Lines lines;
  mk::LineSearch search{lines.matcher};
  search.take("one\ntwo");
  CHECK(lines.got.size() == 1);
  CHECK_FALSE(search.found());
  CHECK_FALSE(search.found());
  search.take(" and more");
  CHECK_FALSE(search.found());
  CHECK(lines.got == std::vector{"one"s, "two"s, "two and more"s});
}

TEST_CASE("LineSearch: a callable that has matched gets no further line") {
  int calls = 0;
  const mk::LineMatcher matcher{[&](std::string_view) { return ++calls > 0; }};
  mk::LineSearch search{matcher};
  CHECK(search.feed("one\ntwo\nthree\n"));
  CHECK(search.feed("four\n"));
  CHECK(calls == 1);
}

TEST_CASE("LineSearch: a long line comes in pieces that overlap") {
  std::vector<std::size_t> sizes;
  const mk::LineMatcher matcher{[&](std::string_view line) {
    sizes.push_back(line.size());
    return line.ends_with("done");
  }};
  mk::LineSearch search{matcher};
  const std::string block(100'000, 'x');
  for (int i = 0; i < 50; ++i) CHECK_FALSE(search.feed(block));
  CHECK(search.feed("done"));
  CHECK(*std::max_element(sizes.begin(), sizes.end()) <= mk::LineSearch::longest_line);
  CHECK(sizes.size() < 300);

  // A match across the border of two pieces is found in the piece that overlaps both.
  const auto half = mk::LineSearch::longest_line / 2;
  const mk::LineMatcher needle{
      [](std::string_view line) { return line.find("needle") != std::string_view::npos; }};
  for (const auto border : {half, 2 * half, 3 * half})
    CHECK(found(needle, {std::string(border - 3, 'x') + "needle" + std::string(half, 'x')}));
}

TEST_CASE("LineSearch: at the deadline a callable's search stops after a line") {
  Lines lines;
  mk::LineSearch search{lines.matcher};
  CHECK(search.take("one\ntwo\nthree\n", {}) == 4);
  CHECK(lines.got == std::vector{"one"s});
  CHECK(search.take("two\nthree\n") == 10);
  CHECK(lines.got.size() == 3);
}

TEST_CASE("LineSearch: an exception from a callable comes out of take() and found()") {
  const mk::LineMatcher matcher{
      [](std::string_view line) -> bool { throw std::domain_error{std::string{line}}; }};
  mk::LineSearch search{matcher};
  CHECK_THROWS_WITH_AS(search.take("one\n"), "one", std::domain_error);
  search.restart();
  search.take("two");
  CHECK_THROWS_WITH_AS(static_cast<void>(search.found()), "two", std::domain_error);
}
