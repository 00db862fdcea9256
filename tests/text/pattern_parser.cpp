// SPDX-License-Identifier: BSL-1.0
#include <stdexcept>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include <mirakuru/text/pattern_parser.hpp>

#include "expression.hpp"

using namespace std::string_literals;
using mirakuru::detail::Pattern;
using test::refusal;

TEST_CASE("PatternParser: an expression that no line can match is refused") {
  const std::string newline = "text after a newline, and no line can have that";
  for (const std::string expression :
       {"\\nready", "a\\nb", "\\n\\n", "a\\s\\nb|c\\x0ad", "a\\n{2}", "a\\n\\bb", "a\\n\\b"}) {
    CAPTURE(expression);
    CHECK(refusal(expression) == newline);
  }
  for (const std::string expression : {"cost $5", "a$b", "$.", "(a$)b"}) {
    CAPTURE(expression);
    CHECK(refusal(expression) ==
          "text after the line's end, and no line can have that; write \\$ for the character");
  }
  for (const std::string expression : {"a^b", ".^", "(?:a|b)^"}) {
    CAPTURE(expression);
    CHECK(refusal(expression) ==
          "text before the line's begin, and no line can have that; write \\^ for the character");
  }
  for (const std::string expression : {"[]", "[]a]", "a[]+", "a\\n^b", "[^\\x00-\\xff]"}) {
    CAPTURE(expression);
    CHECK(refusal(expression) == "parts that no line can have together");
  }
  for (const std::string expression : {"\\n*ready", "\\n?ready", "\\nready|up", "a$|b", "a(^|b)",
                                       "a[\\s\\S]*b", "a\\sb", "[]*a", "^*|"}) {
    CAPTURE(expression);
    CHECK(refusal(expression).find("no line") == std::string::npos);
  }
}

TEST_CASE("PatternParser: unsupported syntax is refused by name, with the way out") {
  const std::pair<const char*, const char*> rows[] = {
      {"(?=a)", "the look-ahead (?=; use a callable"},
      {"a(?!b)", "the look-ahead (?!; use a callable"},
      {"(?<=a)b", "the look-behind (?<=; use a callable"},
      {"(?<!a)b", "the look-behind (?<!; use a callable"},
      {"(?s).*x", "the flag s; leave it out, a match stays in one line"},
      {"(?im)^x$", "the flag m; leave it out, ^ and $ are the ends of each line"},
      {"(?x)a", "the flag x; leave it out, and write no extra blanks"},
      {"(?-i)a", "the flag -; leave it out"},
      {"(?u:a)", "the flag u; leave it out"},
      {"(?P<name>a)", "the group (?P<; write (?<"},
      {"(?P=name)", "a back reference (?P=; use a callable"},
      {"(?'name'a)", "the group (?'; write (?<name>"},
      {"(?>a)", "the atomic group (?>; write (?:"},
      {"(?#a)", "a comment (?#; leave it out"},
      {"(?|a)", "the group (?|; write (?:"},
      {"(?R)", "a recursion (?R; use a callable"},
      {"(?", "a ( with a ? after it; write \\( or \\? for the character"},
      {"(?i", "a ( with a ? after it; write \\( or \\? for the character"},
      {"(?\?)", "a ( with a ? after it; write \\( or \\? for the character"},
      {"a++", "a possessive quantifier; leave the last + out"},
      {".*+", "a possessive quantifier; leave the last + out"},
      {"a{2}+", "a possessive quantifier; leave the last + out"},
      {"(a)\\1",
       "the unsupported escape \\1; no back reference is supported, but a callable can compare"},
      {"[\\1]",
       "the unsupported escape \\1; no back reference is supported, but a callable can compare"},
      {"(a)\\12",
       "the unsupported escape \\1; no back reference is supported, but a callable can compare"},
      {"\\k<name>",
       "the unsupported escape \\k; no back reference is supported, but a callable can compare"},
      {"\\p{L}", "the unsupported escape \\p; list the characters in brackets"},
      {"\\A", "the unsupported escape \\A; write ^"},
      {"\\Z", "the unsupported escape \\Z; write $"},
      {"\\z", "the unsupported escape \\z; write $"},
      {"\\Qa\\E", "the unsupported escape \\Q; write \\ before each special character"},
      {"\\e[0m", "the unsupported escape \\e; write \\x1b"},
      {"\\h", "the unsupported escape \\h; write [ \\t]"},
      {"\\R", "the unsupported escape \\R; write \\r?\\n"},
      {"\\y", "the unsupported escape \\y; write y for the character"},
      {"[\\B]", "the unsupported escape \\B; outside of brackets it is supported"},
      {"\\033\\[0m", "the octal escape \\033; write \\x1b"},
      {"\\01", "the octal escape \\01; write \\x01"},
      {"\\101", "the octal escape \\101; write \\x41"},
      {"* Running", "a quantifier with nothing to repeat; write \\* for the character"},
      {"+OK", "a quantifier with nothing to repeat; write \\+ for the character"},
      {":) ready", "a ) without a (; write \\) for the character"},
      {":( ready", "a ( without a ); write \\( for the character"},
      {"[ready", "an unfinished escape or bracket; write \\\\ or \\[ for the character"}};
  for (const auto& [expression, problem] : rows) {
    CAPTURE(expression);
    CHECK(refusal(expression) == problem);
  }
}

TEST_CASE("PatternParser: a wrong expression is refused with its mistake") {
  for (const std::string expression : {"[a", "[", "[^", "[a-"}) {
    CAPTURE(expression);
    CHECK(refusal(expression) ==
          "an unfinished escape or bracket; write \\\\ or \\[ for the character");
  }
  for (const std::string expression : {"a\\", "\\", "[a\\"}) {
    CAPTURE(expression);
    CHECK(refusal(expression) == "a backslash at its end; write \\\\ for the character");
  }
  for (const std::string expression : {"(", "(a", "(?:a", "((a)", "(a|"}) {
    CAPTURE(expression);
    CHECK(refusal(expression) == "a ( without a ); write \\( for the character");
  }
  for (const std::string expression : {")", "a)", "(a))", "a|)"}) {
    CAPTURE(expression);
    CHECK(refusal(expression) == "a ) without a (; write \\) for the character");
  }
  for (const std::string expression :
       {"*a", "+", "?", "a|*b", "(*a)", "(?:+)", "a|?", "{2}", "a|{1,}", "(?i)*"}) {
    CAPTURE(expression);
    CHECK(refusal(expression).starts_with("a quantifier with nothing to repeat; write \\"));
  }
  for (const std::string expression :
       {"a**", "a+*", "a???", "a{2}*", "a{2}?+", "a{2}{3}", "a+{2,}"}) {
    CAPTURE(expression);
    CHECK(refusal(expression) == "a quantifier after a quantifier; write \\ before a character");
  }
  for (const std::string expression : {"^*", "a$+", "\\b?", "\\B{2}", "^{2}"}) {
    CAPTURE(expression);
    CHECK(refusal(expression) == "a quantifier after an assertion");
  }
  CHECK(refusal("a{2,1}") == "bounds in the wrong order");
  CHECK(refusal("a{10001}") == "a count above 10000");
  CHECK(refusal("a{0,99999999999999999999}") == "a count above 10000");
  CHECK(refusal("[b-a]") == "a range in the wrong order");
  CHECK(refusal("[[:alhpa:]]") == "an unknown class of characters");
  for (const std::string expression : {"\\x4", "\\xg0", "\\x{41}"}) {
    CAPTURE(expression);
    CHECK(refusal(expression) == "\\x without two hexadecimal digits; write \\x1b for the escape");
  }
  for (const std::string expression : {"\\u041", "\\u{41}"}) {
    CAPTURE(expression);
    CHECK(refusal(expression) ==
          "\\u without four hexadecimal digits; write \\u00e4, or the character itself");
  }
  for (const std::string expression : {"\\ud83d", "\\ude00", "\\ud83dx", "\\ud83d\\ud83d"}) {
    CAPTURE(expression);
    CHECK(refusal(expression) ==
          "\\u with half a character; write both halves, or the character itself");
  }
  CHECK(refusal("\\c1") == "\\c without a letter");
}

TEST_CASE("PatternParser: a refusal shows the expression on one line") {
  CHECK_THROWS_WITH_AS(Pattern{"\x1b[\n"},
                       "the regular expression '\\x1b[\\n' has an unfinished escape or bracket; "
                       "write \\\\ or \\[ for the character",
                       std::invalid_argument);
}

TEST_CASE("PatternParser: an expression that needs too much memory or stack is refused") {
  const std::string states = "more than 50000 states", groups = "more than 250 nested groups";
  CHECK(refusal("((a{100}){100}){100}") == states);
  CHECK(refusal("(a{1000}){1000}") == states);
  CHECK(refusal(std::string(49'000, 'a')) == "nothing");
  CHECK(refusal(std::string(51'000, 'a')) == states);
  CHECK(refusal(std::string(100'000, '(')) == groups);
  CHECK(refusal(std::string(100'000, '(') + std::string(100'000, ')')) == groups);
  CHECK(refusal(std::string(200, '(') + std::string(200, ')')) == "nothing");
  // The reader stops at the limit, and copies no part of a group.
  CHECK(refusal(std::string(1 << 20, '|')) == states);
  CHECK(refusal('(' + std::string(10 << 20, 'a') + ')') == states);
  std::string begin, end;
  for (int i = 0; i < 249; ++i) {
    begin += '(';
    end += ")*";
  }
  CHECK(refusal(begin + std::string(40'000, 'a') + end) == "nothing");
}
