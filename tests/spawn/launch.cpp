// SPDX-License-Identifier: BSL-1.0
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "files.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;

TYPE_TO_STRING(mk::DirectSpawner);
TYPE_TO_STRING(mk::GuardedSpawner);

namespace {

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

/// The program that local_exec finds, or its error.
struct Found {
  explicit Found(const mk::LaunchRequest& request) {
    try {
      text = mk::local_exec(request).program;
    } catch (const mk::SpawnFailure& failure) {
      text = failure.what();
      code = failure.code();
    }
  }

  std::string text;
  std::error_code code;
};

/// The values of a variable in the command's environment, each in brackets.
std::string values(const mk::LaunchRequest& request, std::string_view name) {
  std::string found;
  for (const auto& entry : mk::local_exec(request).environment)
    if (entry.starts_with(name) && entry[name.size()] == '=')
      found += '[' + entry.substr(name.size() + 1) + ']';
  return found;
}

}  // namespace

TEST_CASE("local_exec: a name is looked up in the PATH that the command will have") {
  const Programs first, second;
  const auto tool = second.file("tool");
  const Variable path{"PATH", first.path().c_str()};
  CHECK(Found{{.words = {"tool"}, .env = {{"PATH", second.path()}}}}.text == tool);
  CHECK(Found{{.words = {"tool"}, .env = {{"PATH", first.path() + ':' + second.path()}}}}.text ==
        tool);
  const Found missing{{.words = {"tool", "-x"}}};
  CHECK(missing.text ==
        "cannot run tool: no such file or directory\nlooked up in PATH=" + first.path());
  CHECK(missing.code == std::errc::no_such_file_or_directory);

  // The first program that can be run wins.
  const auto other = first.file("tool");
  CHECK(Found{{.words = {"tool"}}}.text == other);
  CHECK(Found{{.words = {"tool"}, .env = {{"PATH", second.path() + ':' + first.path()}}}}.text ==
        tool);
}

TEST_CASE("local_exec: a file that cannot be run is skipped, and reported at the end") {
  const Programs first, second;
  first.file("plain", 0644);
  first.directory("folder");
  const mk::LaunchRequest plain{
      .words = {"plain"}, .env = {{"PATH", first.path() + ':' + second.path() + ":/no/such"}}};
  const mk::LaunchRequest folder{.words = {"folder"}, .env = plain.env};
  for (const auto* command : {&plain, &folder}) {
    const Found found{*command};
    CHECK(found.code == std::errc::permission_denied);
    CHECK(found.text == "cannot run " + command->words[0] +
                            ": permission denied\nlooked up in PATH=" + command->env.at("PATH"));
  }
  const auto better = second.file("plain");
  CHECK(Found{plain}.text == better);
  const auto program = second.file("folder");
  CHECK(Found{folder}.text == program);

  // A file among the directories of PATH is skipped.
  const Found found{{.words = {"tool"}, .env = {{"PATH", better}}}};
  CHECK(found.code == std::errc::no_such_file_or_directory);
}

TEST_CASE("local_exec: without a PATH the usual directories are searched") {
  const Variable path{"PATH", nullptr};
  const Found found{{.words = {"sh"}}};
  CHECK((found.text == "/usr/local/bin/sh" || found.text == "/usr/bin/sh" ||
         found.text == "/bin/sh"));
  CHECK(Found{{.words = {"no-such-program"}}}.text ==
        "cannot run no-such-program: no such file or directory\n"
        "looked up in PATH=/usr/local/bin:/usr/bin:/bin");
}

TEST_CASE("local_exec: an empty entry in PATH is the directory that the command runs in") {
  const Programs directory;
  directory.file("tool");
  const Programs elsewhere;
  for (const auto& path : {":/no/such", "/no/such:", "/no/such::/no/such", ""}) {
    CAPTURE(path);
    const mk::LaunchRequest command{
        .words = {"tool"}, .cwd = directory.path(), .env = {{"PATH", path}}};
    CHECK(Found{command}.text == "./tool");
    auto moved = command;
    moved.cwd = elsewhere.path();
    CHECK(Found{moved}.code == std::errc::no_such_file_or_directory);
  }
}

TEST_CASE("local_exec: a relative entry in PATH starts at the directory that the command runs in") {
  const Programs directory;
  directory.directory("bin");
  directory.file("bin/tool");
  const mk::LaunchRequest command{
      .words = {"tool"}, .cwd = directory.path(), .env = {{"PATH", "/no/such:bin"}}};
  CHECK(Found{command}.text == "bin/tool");
  CHECK(Found{{.words = {"tool"}, .cwd = directory / "bin", .env = {{"PATH", "bin"}}}}.code ==
        std::errc::no_such_file_or_directory);
}

TEST_CASE("local_exec: a name with a slash is not looked up") {
  const Programs directory;
  const auto tool = directory.file("tool");
  const auto plain = directory.file("plain", 0644);
  const auto folder = directory.directory("folder");
  directory.file("folder/inner");

  CHECK(Found{{.words = {tool}, .env = {{"PATH", "/no/such"}}}}.text == tool);
  // A relative path starts at the directory that the command runs in, and stays relative.
  CHECK(Found{{.words = {"./tool", "-x"}, .cwd = directory.path()}}.text == "./tool");
  CHECK(Found{{.words = {"folder/inner"}, .cwd = directory.path()}}.text == "folder/inner");
  CHECK(Found{{.words = {"../tool"}, .cwd = folder}}.text == "../tool");
  CHECK(Found{{.words = {tool}, .cwd = folder}}.text == tool);

  const Found missing{{.words = {"./tool"}, .cwd = folder}};
  CHECK(missing.text ==
        "cannot run ./tool: no such file or directory\nlooked up in " + folder + " (Command::cwd)");
  CHECK(missing.code == std::errc::no_such_file_or_directory);
  const Found not_executable{{.words = {plain}}};
  CHECK(not_executable.text ==
        "cannot run " + plain + ": permission denied, not executable (chmod +x)");
  CHECK(not_executable.code == std::errc::permission_denied);
  const Found no_file{{.words = {folder}}};
  CHECK(no_file.text == "cannot run " + folder + ": permission denied, it is a directory");
  CHECK(no_file.code == std::errc::permission_denied);
  CHECK(Found{{.words = {tool + "/x"}}}.code == std::errc::not_a_directory);
}

TEST_CASE("local_exec: the directory is checked before the program is looked up") {
  const Programs directory;
  const auto file = directory.file("file");
  const auto missing = directory / "missing";
  const Found not_there{{.words = {"no-such-program"}, .cwd = missing}};
  CHECK(not_there.text == "cannot run in the directory " + missing + ": no such file or directory");
  CHECK(not_there.code == std::errc::no_such_file_or_directory);
  const Found no_directory{{.words = {"sh"}, .cwd = file}};
  CHECK(no_directory.text == "cannot run in the directory " + file + ": not a directory");
  CHECK(no_directory.code == std::errc::not_a_directory);
}

TEST_CASE("local_exec: the environment is inherited, added to and replaced") {
  const Variable inherited{"MIRAKURU_TEST_A", "1"};
  const Variable replaced{"MIRAKURU_TEST_B", "2"};
  const Variable longer{"MIRAKURU_TEST_BB", "x=y"};
  const Variable absent{"MIRAKURU_TEST_C", nullptr};
  const mk::LaunchRequest request{
      .words = {"true"}, .env = {{"MIRAKURU_TEST_B", "two"}, {"MIRAKURU_TEST_C", "a=b\nc"}}};
  CHECK(values(request, "MIRAKURU_TEST_A") == "[1]");
  CHECK(values(request, "MIRAKURU_TEST_B") == "[two]");
  CHECK(values(request, "MIRAKURU_TEST_BB") == "[x=y]");
  CHECK(values(request, "MIRAKURU_TEST_C") == "[a=b\nc]");
  CHECK(values({.words = {"true"}}, "MIRAKURU_TEST_C") == "");
  CHECK(values({.words = {"true"}, .env = {{"MIRAKURU_TEST_A", ""}}}, "MIRAKURU_TEST_A") == "[]");
}

TEST_CASE("local_exec: the environment is read anew by each call") {
  const mk::LaunchRequest request{.words = {"true"}};
  CHECK(values(request, "MIRAKURU_TEST_A") == "");
  const Variable late{"MIRAKURU_TEST_A", "late"};
  CHECK(values(request, "MIRAKURU_TEST_A") == "[late]");
}

TEST_CASE("local_exec: the id replaces an inherited one") {
  const Variable outer{"mirakuru_uuid", "1:of-an-executor-around-this-test"};
  CHECK(values({.words = {"true"}, .id = "2:mine"}, "mirakuru_uuid") == "[2:mine]");
  CHECK(values({.words = {"true"}}, "mirakuru_uuid") == "[1:of-an-executor-around-this-test]");
}

TEST_CASE("SpawnFailure: the text is the step and the reason") {
  static_assert(std::is_base_of_v<std::system_error, mk::SpawnFailure>);
  static_assert(std::is_nothrow_copy_constructible_v<mk::SpawnFailure>);
  const std::error_code code{EACCES, std::generic_category()};
  const mk::SpawnFailure plain{"cannot run there", code};
  CHECK(plain.what() == std::string{"cannot run there: permission denied"});
  CHECK(plain.code() == code);
  const mk::SpawnFailure own{"cannot run there", code, "nobody listens"};
  CHECK(own.what() == std::string{"cannot run there: nobody listens"});
  CHECK(own.code() == code);
}

namespace {

/// A spawner that throws `Error`.
template <class Error>
struct Failing {
  Error error;

  mk::DirectProcess spawn(const mk::LaunchRequest&) const { throw error; }
};

/// The first line of the SpawnError of a start with this spawner.
template <class Spawner>
std::string headline(const Spawner& spawner, const mk::Command& command = {.argv = "true"}) {
  try {
    mk::Executor{command, spawner}.start();
  } catch (const mk::SpawnError& error) {
    const std::string text = error.what();
    return text.substr(0, text.find('\n'));
  }
  return "started";
}

}  // namespace

TEST_CASE("SpawnFailure: a spawner chooses the first line of the user's error") {
  const std::error_code code{EPERM, std::generic_category()};
  CHECK(headline(Failing<mk::SpawnFailure>{{"the queue is closed", code}}) ==
        "the queue is closed: operation not permitted");
  CHECK(headline(Failing<std::system_error>{{code, "posix_spawn"}}) ==
        "cannot start: posix_spawn: Operation not permitted");
}

TEST_CASE_TEMPLATE("SpawnFailure: a program without its interpreter", Spawner, mk::DirectSpawner,
                   mk::GuardedSpawner) {
  const Programs directory;
  const auto orphan = directory.file("orphan");
  std::ofstream{orphan} << "#!/no/such/interpreter\n";
  CHECK(headline(Spawner{}, {.argv = {orphan, ""}}) ==
        "cannot run " + orphan + ": its interpreter '/no/such/interpreter' is not there");
}

namespace {

/// Runs the command by a shell with a PATH of its own, as a remote shell would.
template <mk::Spawner Base>
struct Elsewhere {
  std::string path;
  Base base = {};

  auto spawn(mk::LaunchRequest request) const {
    const auto line = mk::Argv{std::move(request.words)}.line();
    request.words = {"env", "PATH=" + path + ":/usr/bin:/bin", "sh", "-c", "exec " + line};
    return base.spawn(request);
  }
};

/// The command's own report about itself.
auto report(const std::string& file) {
  REQUIRE(test::eventually([&] { return test::read_inspect(file).contains("fds"); }));
  return test::read_inspect(file);
}

}  // namespace

TEST_CASE_TEMPLATE("LaunchRequest: a spawner rewrites the words and hands them on", Base,
                   mk::DirectSpawner, mk::GuardedSpawner) {
  const Programs far;
  const auto seen = far / "seen";
  std::ofstream{far.file("only-there")} << "#!/bin/sh\nexec " + test::helper() + " \"$@\"\n";
  const mk::Command command{.argv = {"only-there", "inspect", seen, "stay", "an 'odd' word"},
                            .cwd = far.path(),
                            .env = {{"MY_OWN", "a b"}}};
  CHECK(headline(Base{}, command).starts_with("cannot run only-there: no such file or directory"));

  mk::Executor executor{command, Elsewhere<Base>{far.path()}};
  executor.start();
  auto facts = report(seen);
  CHECK(facts["pid"] == std::to_string(executor.pid()));
  CHECK(facts["cwd"] == far.path());
  CHECK(facts["env:MY_OWN"] == "a b");
  CHECK(facts["env:mirakuru_uuid"].starts_with(std::to_string(::getpid()) + ':'));
  CHECK(facts["fds"] == "0,1,2");
  CHECK(executor.command() == mk::Argv{command.argv.words()}.line());
  executor.stop();
  CHECK_FALSE(executor.running());
  CHECK(executor.exit_code() == -SIGTERM);

  mk::Executor failing{mk::Argv{"only-there", "exit", "7"}, Elsewhere<Base>{far.path()}};
  CHECK(failing.start().wait().exit_code() == 7);
}
