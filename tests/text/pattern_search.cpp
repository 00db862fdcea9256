// SPDX-License-Identifier: BSL-1.0
#include <cstddef>
#include <random>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

#include <mirakuru/text/pattern_parser.hpp>
#include <mirakuru/text/pattern_search.hpp>

using mirakuru::detail::Pattern;
using mirakuru::detail::PatternSearch;

namespace {

/// Random numbers, the same on each machine.
class Random {
 public:
  std::size_t below(std::size_t limit) { return engine_() % limit; }
  char one_of(std::string_view characters) { return characters[below(characters.size())]; }

 private:
  std::mt19937 engine_{20240229};
};

}  // namespace

TEST_CASE("PatternSearch: pieces give the same answer as the whole text") {
  const std::string text = "it is\r\nup, on port 80\n\r\nand more";
  for (const std::string expression :
       {"up", "^up", "80$", "^$", "port \\d+$", "is$", "more$", "\\bup\\b", "^and more$", "p.*0$",
        "is.*up", "is.+$", "^up$", "80 ", "port$", "\\bmor\\b", "d  m", "x"}) {
    CAPTURE(expression);
    const Pattern pattern{expression};
    const bool in_whole = pattern.found_in(text);
    for (std::size_t size = 1; size <= text.size(); ++size) {
      CAPTURE(size);
      PatternSearch search{pattern};
      bool in_pieces = false;
      for (std::size_t at = 0; at < text.size(); at += size)
        in_pieces = search.feed(std::string_view{text}.substr(at, size));
      CHECK(in_pieces == in_whole);
      CHECK(search.feed({}) == in_whole);
    }
  }
}

TEST_CASE("PatternSearch: an unfinished line counts as if it ended here") {
  const Pattern pattern{"^\\$ $"};
  PatternSearch search{pattern};
  CHECK_FALSE(search.feed({}));
  CHECK_FALSE(search.feed("welcome\n$"));
  CHECK(search.feed(" "));
  CHECK(search.feed({}));
  CHECK_FALSE(search.feed("make"));  // the line goes on
  CHECK_FALSE(search.feed("\n"));
  CHECK(search.feed("$ "));
  // When the line has ended, nothing undoes the match.
  CHECK(search.feed("\n"));
  CHECK(search.feed("more"));
}

TEST_CASE("PatternSearch: a carriage return and its newline may come in two pieces") {
  const Pattern pattern{"^up$"};
  PatternSearch search{pattern};
  search.take("no\nup\r");
  search.take("\n");
  search.take("more");
  CHECK(search.found());
  search.restart();
  search.take("up\r");
  search.take("more\n");
  CHECK_FALSE(search.found());
}

TEST_CASE("PatternSearch: a slow search stops at its deadline and continues later") {
  const Pattern pattern{"a[ab]{300}c"};
  Random random;
  std::string text;
  for (int i = 0; i < 5000; ++i) text += random.one_of("ab");
  text[text.size() - 301] = 'a';
  text += 'c';
  PatternSearch search{pattern};
  std::size_t taken = 0, takes = 0;
  while (taken < text.size()) {
    const auto some = search.take(std::string_view{text}.substr(taken), {});
    REQUIRE(some > 0);
    CHECK(some < 1000);
    taken += some;
    ++takes;
  }
  CHECK(takes > 10);
  CHECK(search.found());
  // A fast search needs no look at the clock.
  PatternSearch fast{pattern};
  CHECK(fast.take(std::string(5000, 'x'), {}) == 5000);
}

TEST_CASE("PatternSearch: skipping misses no match") {
  Random random;
  for (const std::string expression :
       {"the +end", "THE.*END", "^END$", "(E|F)ND", "END\\b", "E$"}) {
    CAPTURE(expression);
    const Pattern pattern{expression};
    for (std::size_t size = 0; size < 3000; size += 1 + size / 7) {
      std::string text;
      const auto fill = [&] {
        for (auto i = random.below(size + 1); i-- > 0;) text += random.one_of("abcdefgh t\n");
      };
      for (const char* part : {"THE", "END", "the  end", " END "}) {
        fill();
        if (random.below(4) > 0) text += part;
      }
      fill();
      PatternSearch search{pattern};
      const bool found = search.feed(text);
      PatternSearch bytewise{pattern};  // which skips nothing
      for (const char& c : text) bytewise.take({&c, 1});
      REQUIRE(found == bytewise.found());
      REQUIRE(pattern.found_in("no\n" + text + "\nno") == found);
    }
  }
}

TEST_CASE("PatternSearch: restart() begins a new text") {
  const Pattern pattern{"^ab$"};
  PatternSearch search{pattern};
  CHECK_FALSE(search.feed("a"));
  search.restart();
  CHECK_FALSE(search.feed("b"));
  search.restart();
  CHECK(search.feed("ab\n"));
  search.restart();
  CHECK_FALSE(search.feed({}));
  CHECK(search.feed("ab"));
}

TEST_CASE("PatternSearch: a search moves and does not copy") {
  static_assert(!std::is_copy_constructible_v<PatternSearch>);
  const Pattern pattern{"^a+b$"};
  PatternSearch first{pattern};
  CHECK_FALSE(first.feed("x\naa"));
  PatternSearch second{std::move(first)};
  CHECK_FALSE(second.feed("a"));
  CHECK(second.feed("b"));
}

TEST_CASE("PatternSearch: a full table is dropped without a change of the answer") {
  // The search has to know each `a` of the last twelve characters: 4,096 sets.
  const Pattern pattern{"a[ab]{11}c"};
  PatternSearch search{pattern};
  Random random;
  std::string text;
  for (int i = 0; i < 30'000; ++i) text += random.one_of("ab");
  CHECK_FALSE(search.feed(text));
  for (std::size_t at = 0; at < 40; ++at) {
    auto line = text.substr(at, 3000);
    const bool expected = line[line.size() - 12] == 'a';
    line += 'c';
    search.restart();
    REQUIRE(search.feed(line) == expected);
    REQUIRE(pattern.found_in(line) == expected);
  }
}
