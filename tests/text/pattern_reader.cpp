// SPDX-License-Identifier: BSL-1.0
#include <cstddef>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/text/pattern_reader.hpp>

using mirakuru::detail::Characters;
using mirakuru::detail::PatternReader;
using mirakuru::detail::utf8;

namespace {

/// The characters of a set, ASCII first. A character beyond ASCII is shown as the begin of a range.
std::string shown(const Characters& set) {
  const auto& bytes = set.bytes;
  std::string characters;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    if (bytes[i]) characters += static_cast<char>(i);
  for (const auto& range : set.beyond) characters += utf8(range.first) + '-' + utf8(range.last);
  return characters;
}

}  // namespace

TEST_CASE("PatternReader: take() skips a text that comes next, and no other") {
  const std::string expression = "(?:a";
  PatternReader reader{expression};
  CHECK_FALSE(reader.take("(?="));
  CHECK(reader.take("(?:"));
  CHECK(reader.next() == 'a');
  CHECK_FALSE(reader.take("a"));
}

TEST_CASE("PatternReader: a number ends at its last digit, and is bounded") {
  const std::string expression = "12,99999999999999999999x";
  PatternReader reader{expression};
  int value = 0;
  CHECK(reader.number(value));
  CHECK(value == 12);
  CHECK_FALSE(reader.number(value));
  CHECK(reader.take(","));
  CHECK(reader.number(value));
  CHECK(value == PatternReader::most_repeats + 1);
  CHECK(reader.next() == 'x');
}

TEST_CASE("PatternReader: brackets hold characters, ranges, classes and their negation") {
  const auto set = [](const std::string& expression) {
    return shown(PatternReader{expression}.bracket());
  };
  CHECK(set("abc]") == "abc");
  CHECK(set("a-e-]") == "-abcde");
  CHECK(set("\\d]") == "0123456789");
  CHECK(set("[:digit:]]") == "0123456789");
  CHECK(set("^\\d]").find_first_of("0123456789\n") == std::string::npos);
  CHECK(set("\\d-.]") == "-.0123456789");
  CHECK(set("\u00e0-\u00ff]") == "\u00e0-\u00ff");
  CHECK(set("x-\u00ff]") == "xyz{|}~\x7f\u0080-\u00ff");
  CHECK(set("\\ud83d\\ude80]") == "\U0001f680-\U0001f680");
  CHECK(set("\\xfe-\\xff]") == "\xfe\xff");
  CHECK(set("\xfe]") == "\xfe");
}

TEST_CASE("PatternReader: a mistake is named together with the expression") {
  const std::string expression = "[a";
  PatternReader reader{expression};
  CHECK(reader.take("["));
  CHECK_THROWS_WITH_AS(reader.bracket(),
                       "the regular expression '[a' has an unfinished escape or bracket; "
                       "write \\\\ or \\[ for the character",
                       std::invalid_argument);
}
