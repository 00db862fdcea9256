// SPDX-License-Identifier: BSL-1.0
#include <cstddef>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include <mirakuru/text/excerpt.hpp>

using mirakuru::detail::Excerpt;

namespace {

/// The excerpt of a text. It is the same in any pieces.
std::string excerpt(std::string_view text) {
  Excerpt whole, bytes;
  whole.feed(text);
  for (std::size_t i = 0; i < text.size(); ++i) bytes.feed(text.substr(i, 1));
  const auto result = whole.text();
  CHECK(bytes.text() == result);
  return result;
}

/// "from" to "to", each in a line.
std::string numbers(int from, int to) {
  std::string text;
  for (int i = from; i <= to; ++i) text += std::to_string(i) + '\n';
  return text;
}

}  // namespace

TEST_CASE("Excerpt: a short text is itself, without the line ends at its end") {
  CHECK(excerpt("").empty());
  CHECK(excerpt("\n\n").empty());
  CHECK(excerpt("a") == "a");
  CHECK(excerpt("a\n\nb\n\n\n") == "a\n\nb");
  CHECK(excerpt(numbers(1, 20)) + '\n' == numbers(1, 20));
}

TEST_CASE("Excerpt: a terminal's line ends are like any other") {
  CHECK(excerpt("a\r\n\r\nb\rc\r\n") == "a\n\nb\rc");
}

TEST_CASE("Excerpt: of a long text it has the first 5 and the last 15 lines") {
  CHECK(excerpt(numbers(1, 21)) + '\n' ==
        numbers(1, 5) + "[... 1 lines left out ...]\n" + numbers(7, 21));
  CHECK(excerpt(numbers(1, 1000)) + '\n' ==
        numbers(1, 5) + "[... 980 lines left out ...]\n" + numbers(986, 1000));
}

TEST_CASE("Excerpt: equal lines in a row are folded") {
  CHECK(excerpt("a\na\nb\nb\nb\na") ==
        "a\n[the same line 1 more time]\nb\n[the same line 2 more times]\na");
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "404\n";
  CHECK(excerpt(text) == "404\n[the same line 999 more times]");
  CHECK(excerpt(text + numbers(1, 30)) + '\n' ==
        "404\n[the same line 999 more times]\n" + numbers(1, 4) + "[... 11 lines left out ...]\n" +
            numbers(16, 30));
  CHECK(excerpt(numbers(1, 6) + text + numbers(1, 15)) + '\n' ==
        numbers(1, 5) + "[... 1001 lines left out ...]\n" + numbers(1, 15));
}

TEST_CASE("Excerpt: a long line is cut, and equal to no other") {
  const std::string start(Excerpt::longest_line, 'x');
  CHECK(excerpt(start) == start);
  CHECK(excerpt(start + "1\n" + start + "22\n") == start + " [...]\n" + start + " [...]");
}

TEST_CASE("Excerpt: no cut falls into a character") {
  const std::string start(Excerpt::longest_line - 1, 'x'), umlaut = "\xc3\xbc";
  CHECK(excerpt(start + umlaut) == start + " [...]");
  Excerpt gap;
  gap.feed("a" + umlaut.substr(0, 1));
  gap.skip(7, {});
  gap.feed(umlaut.substr(1) + umlaut);
  CHECK(gap.text() == "a [...]\n[... 7 bytes left out ...]\n" + umlaut);
}

TEST_CASE("Excerpt: a part that is skipped is counted in lines, or else in bytes") {
  Excerpt lines;
  lines.feed(numbers(1, 8) + "half a li");
  lines.skip(4096, 100);  // the first of them ends that line
  lines.feed("10\n" + numbers(11, 30));
  CHECK(lines.text() + '\n' == numbers(1, 5) + "[... 109 lines left out ...]\n" + numbers(16, 30));
  Excerpt bytes;
  bytes.feed("a\n");
  bytes.skip(7, {});
  bytes.feed("a\n");
  CHECK(bytes.text() == "a\n[... 7 bytes left out ...]\na");
}
