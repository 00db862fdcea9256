// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>
#include <algorithm>
#include <array>
#include <filesystem>
#include <initializer_list>
#include <list>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/command.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/spawn/launch.hpp>

#include "errors.hpp"
#include "files.hpp"

namespace mk = mirakuru;
using namespace std::string_literals;
using mk::detail::quote_words;
using mk::detail::ResolvedCommand;
using mk::detail::split_words;
using test::refusal;

namespace {

using Words = std::vector<std::string>;

/// Words as a failed comparison shows them: "[a][b c]".
std::string shown(const Words& words) {
  std::string text;
  for (const auto& word : words) text += '[' + word + ']';
  return text;
}

}  // namespace

TEST_CASE("Argv: a line is split as a shell splits it") {
  struct Row {
    std::string line;
    Words words;
  };
  const Row rows[] = {
      // Blanks.
      {"", {}},
      {" \t\n ", {}},
      {"a", {"a"}},
      {"a b", {"a", "b"}},
      {"  a \t b\nc  ", {"a", "b", "c"}},
      {"a\r\nb", {"a", "b"}},
      {"a\vb\fc", {"a\vb\fc"}},
      // Single quotes keep everything.
      {"'a b'", {"a b"}},
      {"'a\\b' '\\'", {"a\\b", "\\"}},
      {"'a\\\nb'", {"a\\\nb"}},
      {"'\"'", {"\""}},
      {"'$HOME `x` * ~ # ; | &'", {"$HOME `x` * ~ # ; | &"}},
      // Double quotes keep all but five escapes.
      {"\"a b\"", {"a b"}},
      {"\"it's\"", {"it's"}},
      {R"("\$ \` \" \\")", {"$ ` \" \\"}},
      {R"("\a \n \' \ ")", {R"(\a \n \' \ )"}},
      {"\"a\\\nb\"", {"ab"}},
      {R"("\\")", {"\\"}},
      {R"("\\\"")", {"\\\""}},
      {R"("\\a")", {"\\a"}},
      // A backslash keeps the next character.
      {R"(a\ b)", {"a b"}},
      {R"(\a\'\"\\)", {"a'\"\\"}},
      {R"(\ )", {" "}},
      {"a\\\tb", {"a\tb"}},
      // A continued line does not end a word.
      {"a\\\nb", {"ab"}},
      {"a \\\n b", {"a", "b"}},
      {"\\\n", {}},
      {"a\\\n", {"a"}},
      // Words may be empty.
      {"''", {""}},
      {"\"\"", {""}},
      {"'' \"\" a ''", {"", "", "a", ""}},
      {"\"\"\\\n''", {""}},
      // Pieces side by side are one word.
      {R"(a'b c'"d e"\ f)",
       {"a"
        "b c"
        "d e"
        " f"}},
      {"''a''", {"a"}},
      {"'a''b'", {"ab"}},
      {R"('it'\''s')", {"it's"}},
      {R"(--name="a b" 'x'=1)", {"--name=a b", "x=1"}},
      // Nothing is expanded, and no character is an operator.
      {"$HOME $(x) `x` ~ * ? [a] {a,b}", {"$HOME", "$(x)", "`x`", "~", "*", "?", "[a]", "{a,b}"}},
      {"a&&b | c > d; e # f", {"a&&b", "|", "c", ">", "d;", "e", "#", "f"}},
      {"A=b x 2>&1 < y &", {"A=b", "x", "2>&1", "<", "y", "&"}},
      {"a\rb\n#c", {"a", "b", "#c"}},
      // Bytes are bytes.
      {"h\u00e9 '\u00fc \u4e2d'", {"h\u00e9", "\u00fc \u4e2d"}},
      {"\xff\xfe \\\xc3", {"\xff\xfe", "\xc3"}},
      {"a\0b c"s, {"a\0b"s, "c"}},
  };
  for (const auto& [line, words] : rows) {
    CAPTURE(line);
    CHECK(shown(split_words(line)) == shown(words));
    CHECK(split_words(line).size() == words.size());
    CHECK(shown(mk::Argv{line}.words()) == shown(words));
    CHECK(mk::Argv{line}.line() == line);
  }
}

TEST_CASE("Argv: a line with an open quote is refused") {
  const auto refused = [](const std::string& line) {
    return refusal([&] { (void)split_words(line); });
  };
  CHECK(refused("a 'b") == "a quote (') is not closed in the command: a 'b");
  CHECK(refused("a \"b") == "a quote (\") is not closed in the command: a \"b");
  CHECK(refused("'a\"") == "a quote (') is not closed in the command: 'a\"");
  CHECK(refused("\"a'") == "a quote (\") is not closed in the command: \"a'");
  CHECK(refused("\"a\\\"") == "a quote (\") is not closed in the command: \"a\\\"");
  CHECK(refused("'a\\''") == "a quote (') is not closed in the command: 'a\\''");
  CHECK(refused("'") == "a quote (') is not closed in the command: '");
  CHECK(refused("a\\") == "a backslash ends the command: a\\");
  CHECK(refused("\\") == "a backslash ends the command: \\");
  CHECK(refused("\"a\\") == "a backslash ends the command: \"a\\");
  CHECK(refused("a\n\x1b'b") == "a quote (') is not closed in the command: a\\n\\x1b'b");
  CHECK(refused("\r\\") == "a backslash ends the command: \\x0d\\");
  CHECK(refused("a\\\\") == "nothing");
  CHECK(refused("'a\\'") == "nothing");
}

TEST_CASE("Argv: words are quoted where they have to be") {
  CHECK(quote_words({}).empty());
  CHECK(quote_words({"a", "-b", "--c=d", "/e.f:g,h_i@j%k+l"}) == "a -b --c=d /e.f:g,h_i@j%k+l");
  CHECK(quote_words({""}) == "''");
  CHECK(quote_words({"", "", "a"}) == "'' '' a");
  CHECK(quote_words({"a b", "c"}) == "'a b' c");
  CHECK(quote_words({"it's"}) == R"('it'\''s')");
  CHECK(quote_words({"'"}) == R"(''\''')");
  for (const char c : "\"\\$`*?[](){}<>|&;#~! \t\n\r^\xc3"s) {
    CAPTURE(c);
    CHECK(quote_words({{'a', c}}) == std::string{'\'', 'a', c, '\''});
  }
}

TEST_CASE("Argv: a reserved word of the shell is quoted in front") {
  for (const std::string word :
       {"!",    "{",      "}",    "[[",   "]]",    "case", "coproc",   "do",
        "done", "elif",   "else", "esac", "fi",    "for",  "function", "if",
        "in",   "select", "then", "time", "until", "while"}) {
    CAPTURE(word);
    CHECK(quote_words({word, "x"}) == '\'' + word + "' x");
    CHECK(mk::Argv{word, "x"}.line() == '\'' + word + "' x");
  }
  CHECK(quote_words({"x", "if", "time"}) == "x if time");
  CHECK(quote_words({"iffy"}) == "iffy");
}

TEST_CASE("Argv: quoted words are split into the same words") {
  std::mt19937 random{20240229};  // the same numbers on every system
  const auto below = [&](std::size_t limit) { return random() % limit; };
  constexpr std::string_view common = "ab'\"\\ \t\n$`=";
  for (int round = 0; round < 2000; ++round) {
    Words words(below(5));
    for (auto& word : words) {
      const auto size = below(9);
      while (word.size() < size)
        word += below(3) != 0 ? common[below(common.size())] : static_cast<char>(below(256));
    }
    CAPTURE(shown(words));
    REQUIRE(split_words(quote_words(words)) == words);
  }
}

TEST_CASE("Argv: a command is given as a line or as words") {
  const auto words = [](const mk::Argv& argv) { return shown(argv.words()); };
  CHECK(words("a 'b c'") == "[a][b c]");
  CHECK(words("a 'b c'"s) == "[a][b c]");
  CHECK(words({"a", "b c"}) == "[a][b c]");
  CHECK(words({"a", "b c"s, "'"}) == "[a][b c][']");
  CHECK(words({"a"s, "b"s}) == "[a][b]");
  CHECK(words(Words{"a b"}) == "[a b]");
  CHECK(words(Words{"a", "b c"}) == "[a][b c]");
  CHECK(words(Words{}).empty());

  CHECK(mk::Argv{"a  'b c'"}.line() == "a  'b c'");
  CHECK(mk::Argv{"a", "b c"}.line() == "a 'b c'");
  CHECK(mk::Argv{Words{"a b"}}.line() == "'a b'");

  // A line is split when its words are asked for, not before.
  const mk::Argv open{"a 'b"};
  CHECK(open.line() == "a 'b");
  CHECK_THROWS_AS((void)open.words(), std::invalid_argument);
}

TEST_CASE("Argv: a range of words is the words") {
  const Words words{"a b", "7"};
  const std::filesystem::path paths[] = {"a b", "7"};
  CHECK(mk::Argv{std::vector<const char*>{"a b", "7"}}.words() == words);
  CHECK(mk::Argv{std::vector<std::string_view>{"a b", "7"}}.words() == words);
  CHECK(mk::Argv{std::list<std::string>{"a b", "7"}}.words() == words);
  CHECK(mk::Argv{std::array<std::string, 2>{"a b", "7"}}.words() == words);
  CHECK(mk::Argv{std::span{paths}}.words() == words);
  CHECK(ResolvedCommand{std::initializer_list<std::string>{"a b", "7"}}.words() == words);
  CHECK(ResolvedCommand{std::vector{7, 8}}.words() == Words{"7", "8"});
  // One path is the program, although it is a range of paths.
  CHECK(mk::Argv{std::filesystem::path{"/a b"}}.words() == Words{"/a b"});
}

TEST_CASE("Command: the members have defaults") {
  const mk::Command command{.argv = "a b"};
  CHECK(command.cwd.str().empty());
  CHECK(command.env.empty());
  CHECK_FALSE(command.shell);
}

TEST_CASE("Shell: the line is kept whole") {
  const mk::Command command = mk::Shell{"a && 'b"};
  CHECK(command.argv.line() == "a && 'b");
  CHECK(command.shell);
  CHECK(shown(ResolvedCommand(mk::Shell{"a && 'b"}).words()) == "[/bin/sh][-c][a && 'b]");
  CHECK(ResolvedCommand(mk::Shell{"a && 'b"}).text() == "a && 'b");
}

TEST_CASE("ResolvedCommand: each form of a command becomes words and a text") {
  const auto check = [](const ResolvedCommand& invocation, const char* words, const char* text) {
    CHECK(shown(invocation.words()) == words);
    CHECK(invocation.text() == text);
  };
  check("a  'b c'  d", "[a][b c][d]", "a 'b c' d");
  check("a  \"b c\""s, "[a][b c]", "a 'b c'");
  check({"a", "b c"}, "[a][b c]", "a 'b c'");
  check({"a b"}, "[a b]", "'a b'");
  check(Words{"a", ""}, "[a][]", "a ''");
  check(mk::Argv{"a", "b"}, "[a][b]", "a b");
  check(mk::Argv{"a b"}, "[a][b]", "a b");
  check(mk::Command{.argv = "a b", .cwd = "/"}, "[a][b]", "a b");
  check(mk::Command{.argv = {"a", "b c"}, .shell = true}, "[/bin/sh][-c][a 'b c']", "a 'b c'");
  check(mk::Shell{"a | b"}, "[/bin/sh][-c][a | b]", "a | b");
  CHECK(ResolvedCommand(mk::Command{.argv = "a", .cwd = "/usr"}).cwd() == "/usr");
  CHECK(ResolvedCommand("a").cwd().empty());
}

TEST_CASE("ResolvedCommand: the text is one printable line") {
  const auto printable = [](const ResolvedCommand& invocation) {
    const auto& text = invocation.text();
    return std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < ' '; });
  };
  CHECK(printable(Words{"printf", "a\nb\t\x1b[1m"}));
  CHECK(printable(mk::Shell{"set -e\necho a\necho b"}));
}

TEST_CASE("ResolvedCommand: an impossible command is refused") {
  const auto refused = [](const mk::Command& command) {
    return refusal([&] { const ResolvedCommand invocation(command); });
  };
  CHECK(refused({.argv = ""}) == "the command is empty");
  CHECK(refused({.argv = " \t"}) == "the command is empty");
  CHECK(refused({.argv = Words{}}) == "the command is empty");
  CHECK(refused({.argv = "'' a"}) == "the command is empty");
  CHECK(refused({.argv = {"", "a"}}) == "the command is empty");
  CHECK(refused(mk::Shell{""}) == "the command is empty");
  CHECK(refused({.argv = "a 'b"}) == "a quote (') is not closed in the command: a 'b");
  CHECK(refused({.argv = "a ''"}) == "nothing");

  const auto nul = "a NUL byte is in the command: ";
  CHECK(refused({.argv = "a b\0c"s}).starts_with(nul));
  CHECK(refused({.argv = {"a", "\0"s}}).starts_with(nul));
  CHECK(refused({.argv = Words{"\0"s}}).starts_with(nul));
  CHECK(refused({.argv = "a", .cwd = "/\0"s}).starts_with(nul));
  CHECK(refused(mk::Shell{"a\0b"s}).starts_with(nul));
}

TEST_CASE("ResolvedCommand: an impossible variable is refused") {
  const auto refused = [](const std::string& name, const std::string& value) {
    return refusal([&] {
      const ResolvedCommand invocation(mk::Command{.argv = "a", .env = {{name, value}}});
    });
  };
  CHECK(refused("", "x") == "this cannot be an environment variable: ''");
  CHECK(refused("A=B", "x") == "this cannot be an environment variable: 'A=B'");
  CHECK(refused("=", "x") == "this cannot be an environment variable: '='");
  CHECK(refused("A\0B"s, "x").starts_with("this cannot be an environment variable: 'A"));
  CHECK(refused("A", "x\0y"s) == "this cannot be an environment variable: 'A'");
  CHECK(refused("A", "") == "nothing");
  CHECK(refused("A b-\u00e9", "x=y\nz") == "nothing");
}

TEST_CASE("ResolvedCommand: each executor has its own id in the environment [difference 11]") {
  const mk::Command command{.argv = "a"};
  const ResolvedCommand first(command), second(command);
  const auto prefix = std::to_string(::getpid()) + ':';
  REQUIRE(first.id().starts_with(prefix));

  // Version 4, variant 1. Source: RFC 9562, 5.4.
  const auto uuid = first.id().substr(prefix.size());
  constexpr std::string_view form = "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx";
  REQUIRE(uuid.size() == form.size());
  for (std::size_t i = 0; i < form.size(); ++i) {
    CAPTURE(i);
    const std::string_view allowed = form[i] == 'x'   ? "0123456789abcdef"
                                     : form[i] == 'y' ? "89ab"
                                                      : form.substr(i, 1);
    CHECK(allowed.find(uuid[i]) != std::string_view::npos);
  }

  CHECK(ResolvedCommand(first).id() == first.id());
  const auto environment = mk::local_exec({.words = {"/bin/sh"}, .id = first.id()}).environment;
  CHECK(std::count(environment.begin(), environment.end(), "mirakuru_uuid=" + first.id()) == 1);
  CHECK(second.id() != first.id());
  CHECK(ResolvedCommand(mk::Command{.argv = "a", .env = {{"mirakuru_uuid", "mine"}}}).id() ==
        "mine");
}
