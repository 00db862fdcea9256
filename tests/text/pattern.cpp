// SPDX-License-Identifier: BSL-1.0
#include <optional>
#include <random>
#include <regex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include <mirakuru/text/pattern_parser.hpp>
#include <mirakuru/text/pattern_search.hpp>

#include "expression.hpp"

using namespace std::string_literals;
using mirakuru::detail::Pattern;
using test::refusal;

namespace {

bool found(const std::string& expression, std::string_view text) {
  return Pattern{expression}.found_in(text);
}

/// The characters below 0x7f that an expression matches, one by one. The newline is the end of an
/// empty line.
std::string characters(const std::string& expression) {
  const Pattern pattern{"^(?:" + expression + ")$"};
  std::string matched;
  for (char c = 0; c < 0x7f; ++c)
    if (pattern.found_in({&c, 1})) matched += c;
  return matched;
}

/// The other characters below 0x7f but the newline, which only a set that names it takes.
std::string all_but(const std::string& characters) {
  std::string others;
  for (char c = 0; c < 0x7f; ++c)
    if (c != '\n' && characters.find(c) == std::string::npos) others += c;
  return others;
}

constexpr auto digits = "0123456789";
constexpr auto word = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
constexpr auto space = "\t\n\v\f\r ";

/// Random numbers, the same on each machine.
class Random {
 public:
  std::size_t below(std::size_t limit) { return engine_() % limit; }
  char one_of(std::string_view characters) { return characters[below(characters.size())]; }

 private:
  std::mt19937 engine_{20240229};
};

/// An expression whose groups go `depth` deep.
[[maybe_unused]] std::string random_expression(Random& random, int depth) {
  std::string text;
  for (auto atoms = random.below(4); atoms-- > 0;) {
    const auto kind = random.below(depth > 0 ? 16 : 12);
    if (kind == 0) {
      constexpr const char* assertions[] = {"^", "$", "\\b", "\\B"};
      text += assertions[random.below(4)];
      continue;
    }
    constexpr const char* classes[] = {".", "[ab]", "[^a]", "\\w", "[ ]", "\\W", "[^\\s]", "[a-c]"};
    if (kind < 4)
      text += classes[random.below(8)];
    else if (kind < 12)
      text += random.one_of("abc ");
    else
      text += (kind % 2 == 0 ? "(" : "(?:") + random_expression(random, depth - 1) + '|' +
              random_expression(random, depth - 1) + ')';
    constexpr const char* quantifiers[] = {"*", "+", "?", "{2}", "{1,2}", "{2,}", "*?", "??"};
    if (random.below(3) == 0) text += quantifiers[random.below(8)];
  }
  return text;
}

}  // namespace

TEST_CASE("Pattern: a class stands for its characters, in and out of brackets") {
  CHECK(characters("\\d") == digits);
  CHECK(characters("[\\d]") == digits);
  CHECK(characters("\\D") == all_but(digits));
  CHECK(characters("[\\D]") == all_but(digits));
  CHECK(characters("[^\\d]") == all_but(digits));
  CHECK(characters("[^\\D]") == digits);
  CHECK(characters("\\w") == word);
  CHECK(characters("[\\w]") == word);
  CHECK(characters("\\W") == all_but(word));
  CHECK(characters("[^\\w]") == all_but(word));
  CHECK(characters("\\s") == space);
  CHECK(characters("[\\s]") == space);
  CHECK(characters("\\S") == all_but(space));
  CHECK(characters("[^\\s]") == all_but(space));
  CHECK(characters("[\\d,]") == ","s + digits);
  CHECK(characters("[\\s\\d]") == space + ""s + digits);
  CHECK(characters("[\\s\\S]") == all_but("").insert(10, "\n"));
  CHECK(characters("[\\d\\D]") == characters("[\\s\\S]"));
  CHECK(characters("[\\W\\w]") == characters("[\\s\\S]"));
}

TEST_CASE("Pattern: brackets take the named classes of <regex>") {
  CHECK(characters("[[:digit:]]") == digits);
  CHECK(characters("[[:alnum:]_]") == word);
  CHECK(characters("[^[:alnum:]_]") == all_but(word));
  CHECK(characters("[[:xdigit:]]") == "0123456789ABCDEFabcdef");
  CHECK(characters("[[:lower:][:upper:]]") == characters("[[:alpha:]]"));
  CHECK(characters("[[:space:]]") == space);
  CHECK(characters("[[:blank:]]") == "\t ");
  CHECK(characters("[[:graph:]]") == characters("[[:alnum:][:punct:]]"));
  CHECK(characters("[[:print:]]") == characters("[[:graph:] ]"));
  CHECK(characters("[[:cntrl:]]") == all_but(characters("[[:print:]]")).insert(10, "\n"));
  CHECK(characters("[[:d:]]") == digits);
  CHECK(characters("[[:w:]]") == word);
  CHECK(characters("[[:s:]]") == space);
}

TEST_CASE("Pattern: brackets list characters and ranges") {
  CHECK(characters("[\\]\\-^]") == "-]^");
  CHECK(characters("[\\^]") == "^");
  CHECK(characters("[\\^a]") == "^a");
  CHECK(characters("[a^]") == "^a");
  CHECK(characters("[^^]") == all_but("^"));
  CHECK(characters("[\\\\]") == "\\");
  CHECK(characters("[\\[\\]]") == "[]");
  CHECK(characters("[[]") == "[");
  CHECK(characters("[a[]") == "[a");
  CHECK(characters("[-a]") == "-a");
  CHECK(characters("[a-]") == "-a");
  CHECK(characters("[-]") == "-");
  CHECK(characters("[a\\-c]") == "-ac");
  CHECK(characters("[a-c]") == "abc");
  CHECK(characters("[a-cx-z]") == "abcxyz");
  CHECK(characters("[^a-c]") == all_but("abc"));
  CHECK(characters("[a-a]") == "a");
  CHECK(characters("[+-\\-]") == "+,-");
  CHECK(characters("[\\--/]") == "-./");
  CHECK(characters("[--/]") == "-./");
  CHECK(characters("[Z-\\]]") == "Z[\\]");
  CHECK(characters("[\\d-]") == "-"s + digits);
  CHECK(characters("[-\\d]") == "-"s + digits);
  CHECK(characters("[.*+?(){}|$]") == "$()*+.?{|}");
  CHECK(characters("[(?:a)]") == "():?a");
  CHECK(characters("[\\.\\*]") == "*.");
  CHECK(characters("[\\t\\r\\f\\v]") == "\t\v\f\r");
  CHECK(characters("[\\b]") == "\b");
  CHECK(characters("[\\x41-\\x43]") == "ABC");
  // The complement of an empty set matches each character.
  CHECK(characters("[^]") == all_but(""));
  CHECK(characters("a|[]b") == "a");
  // A closing bracket after it is a character.
  CHECK(characters("]") == "]");
  CHECK(found("^[a]]$", "a]"));
}

TEST_CASE("Pattern: an escape stands for its character") {
  CHECK(characters("\\t") == "\t");
  CHECK(characters("\\r") == "\r");
  CHECK(characters("\\f") == "\f");
  CHECK(characters("\\v") == "\v");
  CHECK(characters("\\0") == "\0"s);
  CHECK(characters("\\x41") == "A");
  CHECK(characters("\\x7e") == "~");
  CHECK(found("^\\xff\\xFe$", "\xff\xfe"));
  CHECK(characters("\\u0041") == "A");
  CHECK(characters("[\\u0041-\\u0043]") == "ABC");
  CHECK(found("^gr\\u00fc\\u00DFer$", "gr\u00fc\u00dfer"));
  CHECK(found("^(\\u20ac){2}$", "\u20ac\u20ac"));
  CHECK(found("^\\ud83d\\ude80 up$", "\U0001f680 up"));
  CHECK(found("^[\\ud83d\\ude80\\u00e4]+$", "\u00e4\U0001f680"));
  CHECK(found("^\\u20ac{2}$", "\u20ac\u20ac"));
  CHECK_FALSE(found("^\\u20ac+$", "\u20ac\xac"));
  CHECK(characters("\\cM") == "\r");
  CHECK(characters("\\ci") == "\t");
  CHECK(characters("[\\cA-\\cC]") == "\x01\x02\x03");
  for (const char c : "^$\\.*+?()[]{}|/-:\"'<>`~!@#%&=, "s) {
    CAPTURE(c);
    CHECK(characters({'\\', c}) == std::string(1, c));
    CHECK(characters({'[', '\\', c, ']'}) == std::string(1, c));
  }
}

TEST_CASE("Pattern: a dot matches any character that does not end a line") {
  CHECK(characters(".") == all_but("\r"));
  CHECK(found("^...$", "\0\t\xff"s));
  CHECK_FALSE(found("a.b", "a\rb"));
  CHECK(found("a[^x]b", "a\rb"));
}

TEST_CASE("Pattern: the anchors match the ends of a line") {
  CHECK(found("b", "abc"));
  CHECK_FALSE(found("d", "abc"));
  CHECK(found("", "abc"));
  CHECK(found("^$", "\n"));
  CHECK_FALSE(found("^$", "a"));
  CHECK(found("^a", "ab"));
  CHECK_FALSE(found("^b", "ab"));
  CHECK(found("b$", "ab"));
  CHECK_FALSE(found("a$", "ab"));
  CHECK(found("^^a$$", "a"));
  CHECK(found("$^", "\n"));
  CHECK_FALSE(found("a^|c", "a\nb"));
  CHECK_FALSE(found("$b|c", "a\nb"));
  CHECK(found("^(?:2|4)$", "4"));
  CHECK_FALSE(found("^(?:2|4)$", "24"));
  CHECK(found("^2|4$", "24"));
  CHECK(found("(^|,)b(,|$)", "b"));
  CHECK(found("(^|,)b(,|$)", "a,b,c"));
  CHECK_FALSE(found("(^|,)b(,|$)", "ab,c"));
  CHECK_FALSE(found("a", "A"));
}

TEST_CASE("Pattern: a carriage return before a newline belongs to the line's end") {
  for (const std::string_view text : {"no\r\nup\r\nno\r\n", "up\r\n", "no\nup\r", "up\n\r\n"}) {
    CAPTURE(text);
    CHECK(found("^up$", text));
    CHECK(found("up\\b$", text));
    CHECK(found("^..$", text));
    CHECK(found("^up\\r?$", text));
    CHECK_FALSE(found("^...$", text));
    CHECK_FALSE(found("up.", text));
  }
  CHECK(found("^$", "a\r\n\r\nb"));
  CHECK_FALSE(found("^$", "a\r\nb"));
  CHECK_FALSE(found("^up", "no\rup\n"));  // a lone \r does not begin a line
  CHECK_FALSE(found("no$", "no\rup\n"));
  CHECK_FALSE(found("up$", "up\r\rno"));
  // Only one of several belongs to the line's end.
  for (const std::string_view text : {"up\r\r\n", "up\r\r\r\r", "up\r\r\n\n"}) {
    CAPTURE(text);
    CHECK_FALSE(found("^up$", text));
    CHECK_FALSE(found("^..$", text));
    CHECK(found("^up\r+$", text));
  }
  CHECK(found("^up\r$", "up\r\r\n"));
  CHECK(found("^up\\r$", "up\r\n"));  // an expression that spells the \r out
}

TEST_CASE("Pattern: a match does not cross lines") {
  CHECK(found("^b$", "a\nb\nc\n"));
  CHECK(found("^c$", "a\nb\nc"));
  CHECK(found("^c$", "a\nb\nc\n"));
  CHECK(found("^$", "a\n\nb"));
  CHECK_FALSE(found("^$", "a\nb"));
  CHECK_FALSE(found("a.b", "a\nb"));
  CHECK_FALSE(found("a\\sb", "a\nb"));
  CHECK_FALSE(found("a[^x]b", "a\nb"));
  CHECK_FALSE(found("a\\Db", "a\nb"));
  CHECK_FALSE(found("ready.*port", "ready\nport"));
  CHECK(found("ready.*port", "no\nready on port\n"));
  CHECK(found("\\bb", "a\nb"));
  CHECK(found("a\\b", "a\nb"));
}

TEST_CASE("Pattern: groups, alternatives and quantifiers") {
  CHECK(found("^(?:ab)+$", "abab"));
  CHECK_FALSE(found("^(?:ab)+$", "aba"));
  CHECK(found("^(2|4)\\d\\d$", "404"));
  CHECK_FALSE(found("^(2|4)\\d\\d$", "304"));
  CHECK(found("^a{2,3}$", "aaa"));
  CHECK_FALSE(found("^a{2,3}$", "aaaa"));
  CHECK_FALSE(found("^a{2,3}$", "a"));
  CHECK(found("^a{2}$", "aa"));
  CHECK_FALSE(found("^a{2}$", "a"));
  CHECK(found("^a{2,}$", "aaaaa"));
  CHECK_FALSE(found("^a{2,}$", "a"));
  CHECK(found("^a{0}b$", "b"));
  CHECK_FALSE(found("^a{0}b$", "ab"));
  CHECK(found("^a{0,1}b$", "ab"));
  CHECK(found("^(a{2}){2}$", "aaaa"));
  CHECK_FALSE(found("^(a{2}){2}$", "aaa"));
  CHECK(found("^a{1000}$", std::string(1000, 'a')));
  CHECK_FALSE(found("^a{1000}$", std::string(999, 'a')));
  CHECK(found("^a{10000}$", std::string(10'000, 'a')));
  CHECK_FALSE(found("^a{10000}$", std::string(9999, 'a')));
  CHECK(found("^(a|)$", "\n"));
  CHECK(found("^(|a)$", "a"));
  CHECK(found("^()$", "\n"));
  CHECK(found("^(a*)*$", "aaa"));
  CHECK(found("^(a*)*$", "\n"));
  CHECK(found("^(a|b){2,}$", "abab"));
  CHECK_FALSE(found("^(a|b){3,}$", "ab"));
  CHECK(found("^(?:){3}(|a|)+$", "aa"));
  CHECK_FALSE(found("^(a*)*$", "ab"));
  CHECK(found("^(?:)*a$", "a"));
  CHECK(found("^(a?)+b$", "b"));
}

TEST_CASE("Pattern: a lazy quantifier finds the same lines as a greedy one") {
  CHECK(found("^a*?b$", "aab"));
  CHECK(found("^a+?$", "aa"));
  CHECK_FALSE(found("^a+?$", "\n"));
  CHECK(found("^a??b$", "b"));
  CHECK(found("^a??b$", "ab"));
  CHECK(found("^a{1,2}?$", "aa"));
  CHECK_FALSE(found("^a{1,2}?$", "aaa"));
  // An escaped character is no quantifier, and the one after it is.
  CHECK(found("^a\\*?$", "a"));
  CHECK(found("^a\\*?$", "a*"));
  CHECK_FALSE(found("^a\\*?$", "aa"));
  CHECK(found("^\\{a\\}?$", "{a"));
}

TEST_CASE("Pattern: a brace that begins no quantifier is a character") {
  CHECK(found("^a{$", "a{"));
  CHECK(found("^a{b}$", "a{b}"));
  CHECK(found("^a{1$", "a{1"));
  CHECK(found("^a{,3}$", "a{,3}"));
  CHECK(found("^{}$", "{}"));
  CHECK(found("^a{1,b}$", "a{1,b}"));
  CHECK(found("^a{2}{$", "aa{"));
  CHECK(found("^a*{b}$", "aa{b}"));
  CHECK(found("^a{2,1$", "a{2,1"));
  CHECK(found("^{,3}|{$", "{,3}"));
}

TEST_CASE("Pattern: \\b and \\B match at and off the edges of words") {
  CHECK(found("\\bup\\b", "it is up."));
  CHECK(found("\\bup\\b", "up"));
  CHECK_FALSE(found("\\bup\\b", "upper cup"));
  CHECK_FALSE(found("\\bup\\b", "_up"));
  CHECK_FALSE(found("\\bup\\b", "up8"));
  CHECK(found("\\bup\\b", "\xffup\xff"));
  CHECK(found("\\Bup", "cup"));
  CHECK_FALSE(found("\\Bup", "up"));
  CHECK(found("u\\Bp", "up"));
  CHECK_FALSE(found("u\\bp", "up"));
  CHECK_FALSE(found("\\b", "\n"));
  CHECK_FALSE(found("\\b", " ,"));
  CHECK(found("^\\B$", "\n"));
  CHECK_FALSE(found("\\B", "b\u00e9c"));
}

TEST_CASE("Pattern: a NUL byte is an ordinary character") {
  CHECK(found("b$", "a\0b"s));
  CHECK_FALSE(found("a$", "a\0b"s));
  CHECK_FALSE(found("^b", "a\0b"s));
  CHECK(found("^a[^a]b$", "a\0b"s));
  CHECK(found("^a\\Db$", "a\0b"s));
  CHECK(found("^a\0b$"s, "a\0b"s));
  CHECK_FALSE(found("a\0b"s, "a"));
  CHECK(found("[\0]"s, "\0"s));
  CHECK(found("\\\0"s, "\0"s));
  CHECK(found("needle", std::string(100'000, '\0') + "needle" + std::string(100'000, '\0')));
}

TEST_CASE("Pattern: the end of a line counts as one newline") {
  for (const std::string_view end : {"\n", "\r\n", ""}) {
    CAPTURE(end);
    const auto text = "no\nLOG:  ready" + std::string{end};
    for (const std::string expression :
         {".*ready.*\\s",  ".*ready.*\\n", "ready\\r?\\n",    "ready\\s+$",
          "ready\\s*\\n",  "ready\\n$",    "ready$\\n",       "ready[\\s\\S]",
          "ready[\\d\\D]", "ready[\\n]",   "ready[\\r\\n]+",  "(?:ready\\n)+",
          "ready\n",       "ready\\n\\B",  "ready\\b\\s",     "ready[[:space:]]",
          "ready\\x0a",    "ready\\u000A", "ready[\\s\\S]*$", "^LOG.*\\n|x\\n"}) {
      CAPTURE(expression);
      CHECK(found(expression, text));
      CHECK_FALSE(found(expression, "read\ny\n"));
    }
    for (const std::string expression :
         {"ready.", "ready\\D", "ready\\W", "ready\\S", "ready[^x]", "ready[^\\S]", "ready\\s\\b|x",
          "ready[ \\t]", "ready\\s{4}"}) {
      CAPTURE(expression);
      // A "\r" of the end may also be a character of the line.
      CHECK((end == "\r\n" || !found(expression, text)));
    }
    CHECK(found("ready\\r\\n", text) == (end == "\r\n"));
  }
  CHECK(found("^\\n", "a\n\nb"));
  CHECK(found("^\\s$", "a\n\nb"));
  CHECK_FALSE(found("^\\s", "a\nb\n"));
  CHECK_FALSE(found("up\\n", "up\r\r\n"));
}

TEST_CASE("Pattern: a last line without a byte is none") {
  CHECK_FALSE(found("^$", ""));
  CHECK_FALSE(found("^$", {}));
  CHECK_FALSE(found("^$", "a\n"));
  CHECK_FALSE(found("^\\s*$", ""));
  CHECK_FALSE(found("x*", ""));
  CHECK_FALSE(found("\\n", ""));
  CHECK(found("^$", "\r"));
  CHECK(found("^$", "a\n\n"));
  CHECK(found("^$", "a\n\r"));
  CHECK(found("x*", "a"));
}

TEST_CASE("Pattern: a character beyond ASCII is one character") {
  CHECK(found("gr\u00fc\u00df", "ein gr\u00fc\u00dfer"));
  CHECK(found("^[\u2713\u2714] Ready", "\u2713 Ready\n"));
  CHECK_FALSE(found("[\u2713] Ready", "\u0113 Ready\n"));
  CHECK(found("^\u2713? ?Ready", "Ready\n"));
  CHECK_FALSE(found("^\u2713?Ready", "\xe2\x9cReady\n"));
  CHECK(found("\u00e9t\u00e9{2}", "\u00e9t\u00e9\u00e9\n"));
  CHECK(found("^\U0001f680+$", "\U0001f680\U0001f680"));
  for (const char* character : {"\u0080", "\u00fc", "\u07ff", "\u0800", "\u20ac", "\ud7ff",
                                "\ue000", "\uffff", "\U00010000", "\U0001f680", "\U0010ffff"}) {
    CAPTURE(character);
    for (const char* one : {".", "[^x]", "\\D", "\\W", "\\S", "[\\S]", "[^\\x00-\\x7f]",
                            "[^\u00fb]", "[^\u2713-\u2715]", "[x-\U0010ffff]", "(?:.|x)"}) {
      CAPTURE(one);
      CHECK(found(std::string{"^"} + one + '$', character));
      CHECK(found(std::string{"^a"} + one + "b$", std::string{"a"} + character + 'b'));
      CHECK_FALSE(found(std::string{"^"} + one + one + '$', character));
      CHECK(found(std::string{"^"} + one + "+$", std::string{character} + character));
      CHECK(found(std::string{"^"} + one + "{2}$", std::string{character} + character));
      CHECK_FALSE(found(std::string{"^"} + one + "{3,}$", std::string{character} + character));
    }
    CHECK(found(std::string{"^["} + character + "]$", character));
    CHECK_FALSE(found(std::string{"[^"} + character + ']', character));
    CHECK_FALSE(found("[\\w\\d ]", character));
    CHECK_FALSE(found("[^\\x00-\\xff]|x", character));
    CHECK(found("^[\\w\\W]x", character + "x"s));
  }
  CHECK(found("^[\u00e0-\u00ff]+$", "\u00e0\u00e9\u00ff"));
  CHECK_FALSE(found("[\u00e0-\u00ff]", "\u0100\u00df\u20ac"));
  CHECK_FALSE(found("[^\u0430-\u044f]", "\u0430\u043f\u044f"));
  CHECK(found("^\\\u00fc$", "\u00fc"));
  CHECK(refusal("[\u00ff-\u00e0]") == "a range in the wrong order");
}

TEST_CASE("Pattern: a byte that is no UTF-8 is a character of its own") {
  CHECK(found("^\xff$", "\xff"));
  CHECK(found("^[\xf0-\xff]$", "\xf5"));
  CHECK_FALSE(found("^[\xf0-\xff]$", "\xef"));
  CHECK(found("^gr..er$",
              "gr\xfc\xdf"
              "er"));  // Latin-1
  for (const std::string_view one : {"\xff", "\x80", "\xe9", "\xc3", "\xe2\x9c", "\xf0\x9f\x9a"}) {
    CAPTURE(one);
    CHECK(found("^.$", one));
    CHECK(found("^[^a]$", one));
    CHECK(found("^[^\u00fc]$", one));
    CHECK(found("^[^\u00fc]a$", std::string{one} + 'a'));
    CHECK_FALSE(found("^..$", one));
  }
  CHECK(found("^..$", "\x80\x80"));
  CHECK_FALSE(found("^[^\u00fc]..$", "\xed\xa0"));
  CHECK_FALSE(found("[^\u00fc]", "\u00fc"));
  CHECK(found("[^\u00fc]", "\u00fc\xbc"));
  CHECK_FALSE(found("[^\xff\u00fc]", "\xff"));
  CHECK_FALSE(found("[\\w\\d ]", "\xff\xe4\xa0\x85"));
  // An escape \xXX is a byte anywhere.
  CHECK(found("\\xbc", "\u00fc"));
  CHECK(found("^[\\x80-\\xff]+$", "\u2713"));
  CHECK(refusal("[\u00e4-\\xff]") == "a range from a character to a byte");
}

TEST_CASE("Pattern: (?i) ignores the case of ASCII letters") {
  CHECK(found("(?i)listening on", "LISTENING On"));
  CHECK(found("(?i:LISTENING) on", "listening on"));
  CHECK_FALSE(found("(?i:listening) on", "listening ON"));
  CHECK(found("^(?i)[a-c]\\x64[^x]$", "BDe"));
  CHECK_FALSE(found("(?i)[^x]", "X"));
  CHECK(found("(?i)^[[:upper:]]$", "a"));
  CHECK(found("^(a(?i)b)c|D$", "aBc"));
  CHECK_FALSE(found("^(a(?i)b)c$", "aBC"));
  CHECK(found("^(?i)a|b$", "xB"));
  CHECK(found("^(?i:a|b)C$", "BC"));
  CHECK(found("^(?i)[W-c]+$", "wxyzabcW_"));
  CHECK_FALSE(found("^(?i)[W-c]+$", "d"));
  CHECK_FALSE(found("(?i)\u00e9", "\u00c9"));
}

TEST_CASE("Pattern: a group may have a name") {
  CHECK(found("Started (?<app>\\w+) in", "Started web in 2 s"));
  CHECK(found("^(?<_1>a)(?<b$>b)(?<\u00e9>c)$", "abc"));
  for (const std::string expression : {"(?<>a)", "(?<1>a)", "(?<a", "(?<a b>c)"}) {
    CAPTURE(expression);
    CHECK(refusal(expression) == "a group without a proper name");
  }
}

TEST_CASE("Pattern: a hyphen next to a class is itself") {
  CHECK(characters("[\\d-.]") == "-."s + digits);
  CHECK(characters("[--\\d]") == "-"s + digits);
  CHECK(characters("[a-\\d]") == "-"s + digits + "a");
  CHECK(characters("[\\d-[:lower:]]") == "-"s + digits + characters("[a-z]"));
  CHECK(found("^[\\w-.]+:\\d+$", "my-host.local:80"));
  CHECK(found("^[a-z\\d-_]+ up", "a_b-1 up"));
}

TEST_CASE("Pattern: the search stays within the given view") {
  const std::string text = "abc";
  CHECK_FALSE(found("c", std::string_view{text}.substr(0, 2)));
  CHECK_FALSE(found("a", std::string_view{text}.substr(1)));
  CHECK(found("^b$", std::string_view{text}.substr(1, 1)));
}

TEST_CASE("Pattern: a pattern copies and moves") {
  Pattern first{"a+"};
  const Pattern copy{first};
  Pattern second{std::move(first)};
  CHECK(copy.found_in("caab"));
  CHECK(second.found_in("caab"));
  second = Pattern{"b"};
  CHECK(second.found_in("caab"));
  CHECK_FALSE(second.found_in("caa"));
}

#if defined(__GLIBCXX__)  // libc++'s <regex> finds \B at the ends of a word

TEST_CASE("Pattern: random expressions find the same lines as <regex>") {
  Random random;
  int finds = 0;
  constexpr int rounds = 1000, texts = 8;
  for (int round = 0; round < rounds; ++round) {
    const auto expression = random_expression(random, 1);
    CAPTURE(expression);
    const std::regex reference{expression};
    std::optional<Pattern> pattern;
    // An expression that no line can match is refused.
    if (refusal(expression).find("no line can have") == std::string::npos)
      pattern.emplace(expression);
    for (int i = 0; i < texts; ++i) {
      std::string text;
      for (auto size = 1 + random.below(8); size-- > 0;) text += random.one_of("aabbc d");
      CAPTURE(text);
      const bool expected = std::regex_search(text, reference);
      REQUIRE((pattern && pattern->found_in(text)) == expected);
      finds += expected;
    }
  }
  // Both answers are frequent.
  CHECK(finds > rounds * texts / 10);
  CHECK(finds < rounds * texts / 10 * 9);
}
#endif

TEST_CASE("Pattern: one line of a megabyte is read once by any expression") {
  constexpr std::size_t size = 1 << 20;
  const std::string text(size, 'a');
  CHECK(found("^a*$", text));
  CHECK(found("^(a|b)*$", text));
  CHECK_FALSE(found("(a|b)*c", text));
  CHECK_FALSE(found("b", text));
  CHECK(found("b$", text + 'b'));
  // An engine that tries each beginning in turn would need hours here.
  CHECK_FALSE(found("a.*b", text));
  CHECK_FALSE(found("\\w+ ", text));
  CHECK_FALSE(found("(a*)*b", text));
  CHECK_FALSE(found("(a|aa)+$", text + 'b'));

  std::string log;
  while (log.size() < size) log += "request 17 from 127.0.0.1 is served\n";
  CHECK_FALSE(found("is ready on port \\d+", log));
  CHECK(found("is ready on port \\d+$", log + "it is ready on port 8080"));
}
