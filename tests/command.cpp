// SPDX-License-Identifier: BSL-1.0
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/command.hpp>
#include <mirakuru/error.hpp>

#include "support.hpp"

namespace mk = mirakuru;
using namespace std::string_literals;
using mk::detail::quote_words;
using mk::detail::ResolvedCommand;
using mk::detail::split_words;

namespace {

using Words = std::vector<std::string>;

/// Words as a failed comparison shows them: "[a][b c]".
std::string shown(const Words& words) {
  std::string text;
  for (const auto& word : words) text += '[' + word + ']';
  return text;
}

/// The message of the std::invalid_argument that `make` throws; "nothing" if it throws none.
template <class Make>
std::string refusal(Make make) {
  try {
    make();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "nothing";
}

/// Sets or removes a variable of this process for as long as it lives.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_{name} {
    if (const char* const old = std::getenv(name)) old_ = old;
    set(value);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { set(old_ ? old_->c_str() : nullptr); }

 private:
  void set(const char* value) const {
    value != nullptr ? ::setenv(name_, value, 1) : ::unsetenv(name_);
  }

  const char* name_;
  std::optional<std::string> old_;
};

/// A directory with programs in it.
class Programs : public test::TempDir {
 public:
  /// A file that can be executed, or not.
  std::string file(std::string_view name, mode_t mode = 0755) const {
    auto path = *this / name;
    std::ofstream{path} << "#!/bin/sh\n";
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    return path;
  }
  std::string directory(std::string_view name) const {
    auto path = *this / name;
    REQUIRE(::mkdir(path.c_str(), 0755) == 0);
    return path;
  }
};

/// What program() throws, or the program that it finds.
struct Found {
  explicit Found(const mk::Command& command) {
    try {
      text = ResolvedCommand(command).program();
    } catch (const mk::SpawnError& error) {
      text = error.what();
      code = error.code();
    }
  }

  std::string text;
  std::error_code code;
};

/// The values of a variable in an environment.
Words values(const Words& environment, std::string_view name) {
  Words found;
  for (const auto& entry : environment)
    if (entry.starts_with(name) && entry[name.size()] == '=')
      found.push_back(entry.substr(name.size() + 1));
  return found;
}

Words values(const mk::Command& command, std::string_view name) {
  return values(ResolvedCommand(command).environment(), name);
}

}  // namespace

TEST_CASE("a line is split as a shell splits it") {
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
      // Double quotes keep all but their own five escapes.
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
      // A line continued is no end of a word.
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

TEST_CASE("a line that does not end is refused") {
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
  CHECK(refused("a\\\\") == "nothing");
  CHECK(refused("'a\\'") == "nothing");
}

TEST_CASE("words are quoted where they have to be") {
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

TEST_CASE("quoted words are split into the same words") {
  std::mt19937 random{20240229};  // its numbers are the same everywhere
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

TEST_CASE("a command is given as a line or as words") {
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

  // A line is not looked at before its words are asked for.
  const mk::Argv open{"a 'b"};
  CHECK(open.line() == "a 'b");
  CHECK_THROWS_AS((void)open.words(), std::invalid_argument);
}

TEST_CASE("a command's members have defaults") {
  const mk::Command command{.argv = "a b"};
  CHECK(command.cwd.empty());
  CHECK(command.env.empty());
  CHECK_FALSE(command.shell);
}

TEST_CASE("a shell's line is kept whole") {
  const mk::Command command = mk::Shell{"a && 'b"};
  CHECK(command.argv.line() == "a && 'b");
  CHECK(command.shell);
  CHECK(shown(ResolvedCommand(mk::Shell{"a && 'b"}).words()) == "[/bin/sh][-c][a && 'b]");
  CHECK(ResolvedCommand(mk::Shell{"a && 'b"}).text() == "a && 'b");
}

TEST_CASE("what stands in front of an executor's arguments becomes words and a text") {
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

TEST_CASE("the text is one line that can be printed") {
  const auto printable = [](const ResolvedCommand& invocation) {
    const auto& text = invocation.text();
    return std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < ' '; });
  };
  CHECK(printable(Words{"printf", "a\nb\t\x1b[1m"}));
  CHECK(printable(mk::Shell{"set -e\necho a\necho b"}));
}

TEST_CASE("a command that cannot be one is refused") {
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

TEST_CASE("a variable that cannot be one is refused") {
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

TEST_CASE("a name is looked up in the PATH that the child will have") {
  const Programs first, second;
  const auto tool = second.file("tool");
  const Variable path{"PATH", first.path().c_str()};
  CHECK(Found{{.argv = "tool", .env = {{"PATH", second.path()}}}}.text == tool);
  CHECK(Found{{.argv = "tool", .env = {{"PATH", first.path() + ':' + second.path()}}}}.text ==
        tool);
  const Found missing{{.argv = "tool -x"}};
  CHECK(missing.text == "cannot run tool, looked up in PATH=" + first.path() +
                            ": no such file or directory\n  command: tool -x");
  CHECK(missing.code == std::errc::no_such_file_or_directory);

  // The first that can be run is taken.
  const auto other = first.file("tool");
  CHECK(Found{{.argv = "tool"}}.text == other);
  CHECK(Found{{.argv = "tool", .env = {{"PATH", second.path() + ':' + first.path()}}}}.text ==
        tool);
}

TEST_CASE("a look-up passes over what cannot be run, and says so at the end") {
  const Programs first, second;
  first.file("plain", 0644);
  first.directory("folder");
  const mk::Command plain{.argv = "plain",
                          .env = {{"PATH", first.path() + ':' + second.path() + ":/no/such"}}};
  const mk::Command folder{.argv = "folder", .env = plain.env};
  for (const auto* command : {&plain, &folder}) {
    const Found found{*command};
    CHECK(found.code == std::errc::permission_denied);
    CHECK(found.text == "cannot run " + command->argv.line() +
                            ", looked up in PATH=" + command->env.at("PATH") +
                            ": permission denied\n  command: " + command->argv.line());
  }
  const auto better = second.file("plain");
  CHECK(Found{plain}.text == better);
  const auto program = second.file("folder");
  CHECK(Found{folder}.text == program);

  // A file in the place of a directory is no more than an entry without the program.
  const Found found{{.argv = "tool", .env = {{"PATH", better}}}};
  CHECK(found.code == std::errc::no_such_file_or_directory);
}

TEST_CASE("without a PATH the usual directories are searched") {
  const Variable path{"PATH", nullptr};
  const Found found{{.argv = "sh"}};
  CHECK((found.text == "/usr/local/bin/sh" || found.text == "/usr/bin/sh" ||
         found.text == "/bin/sh"));
  CHECK(Found{{.argv = "no-such-program"}}.text ==
        "cannot run no-such-program, looked up in PATH=/usr/local/bin:/usr/bin:/bin: "
        "no such file or directory\n  command: no-such-program");
}

TEST_CASE("an empty entry in PATH is the directory that the command runs in") {
  const Programs directory;
  directory.file("tool");
  const Programs elsewhere;
  for (const auto& path : {":/no/such", "/no/such:", "/no/such::/no/such", ""}) {
    CAPTURE(path);
    const mk::Command command{.argv = "tool", .cwd = directory.path(), .env = {{"PATH", path}}};
    CHECK(Found{command}.text == "./tool");
    auto moved = command;
    moved.cwd = elsewhere.path();
    CHECK(Found{moved}.code == std::errc::no_such_file_or_directory);
  }
}

TEST_CASE("a relative entry in PATH is relative to the directory that the command runs in") {
  const Programs directory;
  directory.directory("bin");
  directory.file("bin/tool");
  const mk::Command command{
      .argv = "tool", .cwd = directory.path(), .env = {{"PATH", "/no/such:bin"}}};
  CHECK(Found{command}.text == "bin/tool");
  CHECK(Found{{.argv = "tool", .cwd = directory / "bin", .env = {{"PATH", "bin"}}}}.code ==
        std::errc::no_such_file_or_directory);
}

TEST_CASE("a name with a slash is not looked up") {
  const Programs directory;
  const auto tool = directory.file("tool");
  const auto plain = directory.file("plain", 0644);
  const auto folder = directory.directory("folder");
  directory.file("folder/inner");

  CHECK(Found{{.argv = tool, .env = {{"PATH", "/no/such"}}}}.text == tool);
  // A relative one is seen from the directory that the command runs in, and stays relative.
  CHECK(Found{{.argv = "./tool -x", .cwd = directory.path()}}.text == "./tool");
  CHECK(Found{{.argv = "folder/inner", .cwd = directory.path()}}.text == "folder/inner");
  CHECK(Found{{.argv = "../tool", .cwd = folder}}.text == "../tool");
  CHECK(Found{{.argv = tool, .cwd = folder}}.text == tool);

  const Found missing{{.argv = "./tool", .cwd = folder}};
  CHECK(missing.text == "cannot run ./tool: no such file or directory\n  command: ./tool");
  CHECK(missing.code == std::errc::no_such_file_or_directory);
  const Found not_executable{{.argv = plain}};
  CHECK(not_executable.text == "cannot run " + plain + ": permission denied\n  command: " + plain);
  CHECK(not_executable.code == std::errc::permission_denied);
  CHECK(Found{{.argv = folder}}.code == std::errc::permission_denied);
  CHECK(Found{{.argv = tool + "/x"}}.code == std::errc::not_a_directory);
}

TEST_CASE("a directory to run in that is none is told before the program is looked for") {
  const Programs directory;
  const auto file = directory.file("file");
  const auto missing = directory / "missing";
  const Found not_there{{.argv = "no-such-program", .cwd = missing}};
  CHECK(not_there.text == "cannot run in the directory " + missing +
                              ": no such file or directory\n  command: no-such-program");
  CHECK(not_there.code == std::errc::no_such_file_or_directory);
  const Found no_directory{{.argv = "sh", .cwd = file}};
  CHECK(no_directory.text ==
        "cannot run in the directory " + file + ": not a directory\n  command: sh");
  CHECK(no_directory.code == std::errc::not_a_directory);
}

TEST_CASE("the environment is inherited, added to and replaced") {
  const Variable inherited{"MIRAKURU_TEST_A", "1"};
  const Variable replaced{"MIRAKURU_TEST_B", "2"};
  const Variable longer{"MIRAKURU_TEST_BB", "x=y"};
  const Variable absent{"MIRAKURU_TEST_C", nullptr};
  const mk::Command command{.argv = "a",
                            .env = {{"MIRAKURU_TEST_B", "two"}, {"MIRAKURU_TEST_C", "a=b\nc"}}};
  CHECK(shown(values(command, "MIRAKURU_TEST_A")) == "[1]");
  CHECK(shown(values(command, "MIRAKURU_TEST_B")) == "[two]");
  CHECK(shown(values(command, "MIRAKURU_TEST_BB")) == "[x=y]");
  CHECK(shown(values(command, "MIRAKURU_TEST_C")) == "[a=b\nc]");
  CHECK(values({.argv = "a"}, "MIRAKURU_TEST_C").empty());
  CHECK(shown(values({.argv = "a", .env = {{"MIRAKURU_TEST_A", ""}}}, "MIRAKURU_TEST_A")) == "[]");
}

TEST_CASE("the environment is read anew for each start") {
  const ResolvedCommand invocation("a");
  const Variable late{"MIRAKURU_TEST_A", "late"};
  CHECK(shown(values(invocation.environment(), "MIRAKURU_TEST_A")) == "[late]");
}

TEST_CASE("each executor has an id of its own in its environment") {
  const Variable outer{"mirakuru_uuid", "1:of-an-executor-around-this-test"};
  const mk::Command command{.argv = "a"};
  const ResolvedCommand first(command), second(command);
  const auto ids = values(first.environment(), "mirakuru_uuid");
  REQUIRE(ids.size() == 1);
  const auto prefix = std::to_string(::getpid()) + ':';
  REQUIRE(ids[0].starts_with(prefix));

  // Version 4, variant 1. Source: RFC 9562, 5.4.
  const auto uuid = ids[0].substr(prefix.size());
  constexpr std::string_view form = "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx";
  REQUIRE(uuid.size() == form.size());
  for (std::size_t i = 0; i < form.size(); ++i) {
    CAPTURE(i);
    const std::string_view allowed = form[i] == 'x'   ? "0123456789abcdef"
                                     : form[i] == 'y' ? "89ab"
                                                      : form.substr(i, 1);
    CHECK(allowed.find(uuid[i]) != std::string_view::npos);
  }

  CHECK(values(first.environment(), "mirakuru_uuid") == ids);
  CHECK(values(second.environment(), "mirakuru_uuid") != ids);
}
