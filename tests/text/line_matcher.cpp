// SPDX-License-Identifier: BSL-1.0
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include <doctest/doctest.h>

#include <mirakuru/text/line_matcher.hpp>
#include <mirakuru/text/line_search.hpp>

namespace mk = mirakuru;
using namespace std::string_literals;

namespace {

bool matches(const mk::LineMatcher& matcher, std::string_view line) {
  return mk::LineSearch{matcher}.feed(line);
}

/// The message of the error that an expression is refused with; "nothing" if it is accepted.
std::string refusal(const std::string& expression) {
  try {
    const mk::LineMatcher matcher{expression};
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "nothing";
}

struct OneArgument {
  bool operator()(int) const { return true; }
};

}  // namespace

// A lambda or an expression converts to a matcher; anything else does not.
static_assert(std::is_convertible_v<const char*, mk::LineMatcher>);
static_assert(std::is_convertible_v<std::string, mk::LineMatcher>);
static_assert(std::is_convertible_v<bool (*)(std::string_view), mk::LineMatcher>);
static_assert(!std::is_convertible_v<OneArgument, mk::LineMatcher>);
static_assert(!std::is_convertible_v<int, mk::LineMatcher>);
static_assert(!std::is_default_constructible_v<mk::LineMatcher>);

TEST_CASE("LineMatcher: the expression is kept as given") {
  CHECK(mk::LineMatcher{"ready"}.expression() == "ready");
  CHECK(mk::LineMatcher{"^up \\d+$"}.expression() == "^up \\d+$");
  CHECK(mk::LineMatcher{[](std::string_view) { return true; }}.expression().empty());
}

TEST_CASE("LineMatcher: a text without special characters matches itself") {
  CHECK(matches("listening on 80", "now listening on 80."));
  CHECK_FALSE(matches("listening on 80", "now listening on 8."));
  CHECK(matches("a\0b"s, "xa\0by"s));
  CHECK_FALSE(matches("a\0b"s, "xacby"s));
  CHECK(matches("<-/,;:#@!~%&='\"_`", "x<-/,;:#@!~%&='\"_`x"));
}

TEST_CASE("LineMatcher: each special character makes a regular expression") {
  CHECK(matches("a\\d", "a1"));
  CHECK(matches("^b", "b"));
  CHECK_FALSE(matches("^b", "ab"));
  CHECK_FALSE(matches("a$", "ab"));
  CHECK(matches("a.c", "abc"));
  CHECK(matches("x|b", "b"));
  CHECK(matches("ab?c", "ac"));
  CHECK(matches("ab*c", "ac"));
  CHECK(matches("ab+c", "abbc"));
  CHECK(matches("a(b)c", "abc"));
  CHECK(matches("a[b]c", "abc"));
  CHECK(matches("ab{2}c", "abbc"));
  CHECK(refusal("a)") ==
        "the regular expression 'a)' has a ) without a (; write \\) for the character");
  CHECK(refusal("[a") ==
        "the regular expression '[a' has an unfinished escape or bracket; "
        "write \\\\ or \\[ for the character");
  CHECK(refusal("a]}") == "nothing");
}

TEST_CASE("LineMatcher: an empty expression and one with a newline are refused") {
  CHECK(refusal("") == "the banner is empty");
  CHECK(refusal("\n") == "the banner contains a newline; it is matched line by line");
  CHECK(refusal("two\nlines") == "the banner contains a newline; it is matched line by line");
  CHECK(refusal("^two\nlines$") == "the banner contains a newline; it is matched line by line");
}

TEST_CASE("LineMatcher: a callable decides") {
  const mk::LineMatcher matcher{[](std::string_view line) { return line.size() == 3; }};
  CHECK(matches(matcher, "abc"));
  CHECK_FALSE(matches(matcher, "ab"));
}

TEST_CASE("LineMatcher: the text of an expression may stand in an output") {
  using mk::detail::has_expression_as_text;
  const auto banner = "Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)";
  const auto output = "INFO: "s + banner + "\n";
  const mk::LineMatcher expression{banner};
  CHECK_FALSE(matches(expression, output));
  CHECK(has_expression_as_text(expression, output));
  CHECK_FALSE(has_expression_as_text(expression, "INFO: Uvicorn running on http"));
  CHECK_FALSE(has_expression_as_text(expression, ""));
  CHECK_FALSE(has_expression_as_text("ready", "it is ready"));  // it has no special character
  CHECK_FALSE(has_expression_as_text([](std::string_view) { return false; }, "ready"));
}

TEST_CASE("LineMatcher: copies share the callable and its state") {
  mk::LineMatcher first{[calls = 0](std::string_view) mutable { return ++calls == 2; }};
  const mk::LineMatcher second = first;
  CHECK_FALSE(matches(first, "line"));
  CHECK(matches(second, "line"));
}

TEST_CASE("LineMatcher: fresh() copies a callable as it was given, and nothing else") {
  const mk::LineMatcher second{[calls = 0](std::string_view) mutable { return ++calls == 2; }};
  for (int search = 0; search < 2; ++search) {
    const auto own = second.fresh();
    REQUIRE(own);
    CHECK_FALSE(matches(*own, "line"));
    CHECK(matches(*own, "line"));
  }
  CHECK_FALSE(mk::LineMatcher{"ready"}.fresh());
  CHECK_FALSE(mk::LineMatcher{"^ready$"}.fresh());
  const mk::LineMatcher only_moves{
      [calls = std::make_unique<int>(0)](std::string_view) { return ++*calls == 2; }};
  CHECK_FALSE(only_moves.fresh());
}

TEST_CASE("LineMatcher: a callable that only moves is taken") {
  const mk::LineMatcher matcher{[wanted = std::make_unique<std::string>("up")](
                                    std::string_view line) { return line == *wanted; }};
  CHECK(matches(matcher, "up"));
  CHECK_FALSE(matches(matcher, "down"));
}
