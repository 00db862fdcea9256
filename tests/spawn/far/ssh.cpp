// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "mark.hpp"
#include "process.hpp"
#include "sshd.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

// The scenarios of a start, a stop, output, environment and exit codes: the same code here and
// through ssh.

namespace {

/// The server of this program; null, with a message, where there can be none.
test::Sshd* server() {
  static const auto reason = test::Sshd::why_not();
  if (!reason.empty()) {
    MESSAGE(reason);
    return nullptr;
  }
  static test::Sshd only;
  return &only;
}

constexpr mk::TimeoutBudget budget{.start = 30s, .stop = 5s};

struct Here {
  static bool there_is() { return true; }
  template <class... Policies>
  static auto make(mk::detail::ResolvedCommand command, Policies... policies) {
    return mk::Executor{std::move(command), mk::GuardedSpawner{}, policies...};
  }
};
struct There {
  static bool there_is() { return server() != nullptr; }
  template <class... Policies>
  static auto make(mk::detail::ResolvedCommand command, Policies... policies) {
    return mk::Executor{std::move(command), server()->ssh(), policies...};
  }
};

}  // namespace

#define SSH_TEST(name) TEST_CASE_TEMPLATE("Ssh: " name, Place, Here, There)
#define NEEDS_PLACE \
  if (!Place::there_is()) return

SSH_TEST("a line and words start, run and stop") {
  NEEDS_PLACE;
  for (auto&& executor :
       {Place::make("sleep 300", budget), Place::make({"sleep", "300"}, budget)}) {
    auto other = std::move(const_cast<std::remove_cvref_t<decltype(executor)>&>(executor));
    other.start();
    CHECK(other.running());
    CHECK(other.pid() > 0);
    other.stop();
    CHECK_FALSE(other.running());
    CHECK(other.exit_code() == -SIGTERM);
  }
}

SSH_TEST("each stop signal reaches the command") {
  NEEDS_PLACE;
  for (const int signal : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1}) {
    auto executor = Place::make("sleep 300", budget, mk::Signals{.stop = signal});
    executor.start().stop();
    CHECK(executor.exit_code() == -signal);
    executor.start().stop(SIGUSR2);
    CHECK(executor.exit_code() == -SIGUSR2);
  }
}

SSH_TEST("a signal reaches the whole process group") {
  NEEDS_PLACE;
  const test::Mark mark;
  auto executor = Place::make(
      mark.line("trap 'wait; echo leader; exit 0' TERM\n"
                "(trap 'echo child; exit' TERM; echo ready; while :; do sleep 0.05; done) &\n"
                "while :; do sleep 0.05; done"),
      mk::BannerCheck{"ready"}, budget);
  executor.start().stop();
  CHECK(executor.output() == "ready\nchild\nleader\n");
  CHECK(executor.exit_code() == 0);
  CHECK(mark.all_gone());
}

SSH_TEST("a process that ignores the stop signal is killed at the end of the budget") {
  NEEDS_PLACE;
  const test::Mark mark;
  auto executor = Place::make(mark.line("trap '' TERM; echo ready; while :; do sleep 0.05; done"),
                              mk::BannerCheck{"ready"}, mk::Silent{},
                              mk::TimeoutBudget{.start = 30s, .stop = 1s});
  executor.start();
  const test::Elapsed elapsed;
  executor.stop();
  CHECK(elapsed >= 900ms);
  CHECK(elapsed < 4s);
  CHECK(executor.exit_code() == -SIGKILL);
  CHECK(mark.all_gone());
}

SSH_TEST("kill() ends the tree, and its exit code is no error") {
  NEEDS_PLACE;
  const test::Mark mark;
  auto executor = Place::make(mark.line("echo ready; sleep 300"), mk::BannerCheck{"ready"}, budget);
  executor.start().kill();
  CHECK(executor.exit_code() == -SIGKILL);
  CHECK(mark.all_gone());
}

SSH_TEST("a process in a session of its own ends with stop()") {
  NEEDS_PLACE;
  const test::Mark mark;
  auto executor = Place::make(mark.line("setsid sleep 300 & echo ready; sleep 300"),
                              mk::BannerCheck{"ready"}, mk::Silent{}, budget);
  executor.start().stop();
  CHECK(mark.all_gone());
}

SSH_TEST("exit codes are told") {
  NEEDS_PLACE;
  for (const int code : {0, 1, 7, 42, 127, 128, 255}) {
    auto executor = Place::make(mk::Shell{"exit " + std::to_string(code)}, budget);
    executor.start().wait(20s);
    CHECK(executor.exit_code() == code);
  }
  for (const int signal : {SIGKILL, SIGTERM, SIGABRT}) {
    auto executor = Place::make(mk::Shell{"kill -" + std::to_string(signal) + " $$"}, budget);
    executor.start().wait(20s);
    CHECK(executor.exit_code() == -signal);
  }
}

SSH_TEST("stop() of a failed process reports the failure") {
  NEEDS_PLACE;
  auto executor = Place::make(mk::Shell{"exit 3"}, budget);
  executor.start().wait(20s);
  CHECK_THROWS_AS(executor.stop(), mk::ProcessFinishedWithError);
  CHECK(executor.start().wait(20s).stop(SIGTERM, {3}).exit_code() == 3);
}

SSH_TEST("an end before it is ready is an error at once, with the last output") {
  NEEDS_PLACE;
  auto executor = Place::make(mk::Shell{"echo out; echo bad luck >&2; exit 5"},
                              mk::BannerCheck{"never"}, budget);
  const auto message = test::message_of<mk::ProcessExitedWithError>([&] { executor.start(); });
  CHECK(message.starts_with("exited with a non-zero code: 5 before it was ready"));
  CHECK(message.find("    bad luck") != message.npos);
  CHECK(message.find("    out") != message.npos);
}

SSH_TEST("standard output and standard error are apart, byte by byte") {
  NEEDS_PLACE;
  auto executor = Place::make(
      mk::Shell{R"(printf 'a\000b\001\n\377'; printf '\000\000mirakuru \000x\nno end' >&2)"},
      budget);
  executor.start().wait(20s);
  CHECK(executor.output() == std::string{"a\0b\1\n\377", 6});
  CHECK(executor.err_output() == std::string{"\0\0mirakuru \0x\nno end", 20});
}

SSH_TEST("a megabyte of output and of standard error comes whole") {
  NEEDS_PLACE;
  auto executor = Place::make(
      mk::Shell{"head -c 1000000 /dev/zero | tr '\\0' x; head -c 1000000 /dev/zero >&2"}, budget);
  executor.start().wait(20s);
  CHECK(executor.output() == std::string(1'000'000, 'x'));
  CHECK(executor.err_output() == std::string(1'000'000, '\0'));
}

SSH_TEST("odd words, variables and directories arrive unchanged") {
  NEEDS_PLACE;
  const mk::TempDir dir{"odd"};
  const auto odd = dir / "a 'b' \"c\" $d\n!e\\";
  std::filesystem::create_directory(odd);
  const std::vector<std::string> words{"",     " ",       "'",   "\"",       "$HOME", "`id`",
                                       "a\nb", "\\n\\\\", "!x",  "-n",       "--",    "*",
                                       "~",    "#",       "a=b", "\xc3\xa4", "%s%n",  "\\0101"};
  std::vector<std::string> command{
      "sh", "-c", R"(printf '%s|' "$@" "$ODD" "$EMPTY" "${NONE-none}" "${LANG-none}"; pwd)", "sh"};
  command.insert(command.end(), words.begin(), words.end());
  std::string expected;
  for (const auto& word : words) expected += word + '|';
  const std::string value = "a 'b'\n\"c\" $d \\ \\\\n =e;";
  auto executor = Place::make(
      mk::Command{.argv = command,
                  .cwd = odd,
                  .env = {{"ODD", value}, {"EMPTY", ""}, {"LANG", mk::unset}, {"odd.name", "x"}}},
      budget);
  executor.start().wait(20s);
  CHECK(executor.output() == expected + value + "||none|none|" + odd.native() + '\n');
}

SSH_TEST("the variable of a command, its PATH and its clean environment hold") {
  NEEDS_PLACE;
  const mk::TempDir dir{"path"};
  dir.write("a-program", "#!/bin/sh\necho found $1 ${HOME-none}\n");
  std::filesystem::permissions(dir / "a-program", std::filesystem::perms::owner_all);
  auto executor = Place::make(
      mk::Command{.argv = {"a-program", "x"},
                  .env = {{"PATH", dir.operator const std::filesystem::path&().native() + ":/bin"}},
                  .clean_env = true},
      budget);
  executor.start().wait(20s);
  CHECK(executor.output() == "found x none\n");
}

SSH_TEST("the file mode mask and limits are the test's") {
  NEEDS_PLACE;
  const auto before = ::umask(027);
  auto executor = Place::make(mk::Shell{"umask; ulimit -n; ulimit -c"},
                              mk::Limits{.files = 100, .core = 0}, budget);
  executor.start().wait(20s);
  ::umask(before);
  CHECK(executor.output() == "0027\n100\n0\n");
}

SSH_TEST("write() and close_input() reach the command") {
  NEEDS_PLACE;
  auto executor = Place::make("cat", budget);
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  executor.start().write(all).write("more\n");
  executor.wait_for([&] { return executor.output() == all + "more\n"; }, 10s);
  executor.close_input().wait(10s);
  CHECK(executor.exit_code() == 0);
  executor.stop();
}

SSH_TEST("an input that is a text or nothing ends") {
  NEEDS_PLACE;
  const std::string text(100'000, 'y');
  auto executor = Place::make("cat", mk::InputText{text}, budget);
  executor.start().wait(20s);
  CHECK(executor.output() == text);
  auto empty = Place::make("cat", mk::NoInput{}, budget);
  empty.start().wait(20s);
  CHECK(empty.output().empty());
  CHECK(empty.exit_code() == 0);
}

SSH_TEST("StopByInput ends a command that reads") {
  NEEDS_PLACE;
  auto executor = Place::make(mk::Shell{"cat; echo end"}, mk::StopByInput{}, budget);
  executor.start().write("a\n").stop();
  CHECK(executor.output() == "a\nend\n");
  CHECK(executor.exit_code() == 0);
}

SSH_TEST("output goes to files") {
  NEEDS_PLACE;
  const mk::TempDir dir{"out"};
  auto executor = Place::make(mk::Shell{"echo one; echo two >&2"},
                              mk::ToFile{.path = dir / "out", .err_path = dir / "err"}, budget);
  executor.start().wait(20s);
  executor.stop();
  CHECK(test::slurp(dir / "out") == "one\n");
  CHECK(test::slurp(dir / "err") == "two\n");
}

SSH_TEST("pause() stops all processes, and resume() lets them go on") {
  NEEDS_PLACE;
  auto executor =
      Place::make(mk::Shell{"while :; do echo x; sleep 0.01; done"}, mk::BannerCheck{"x"}, budget);
  executor.start().pause();
  std::string seen;  // what was on its way
  CHECK(test::eventually([&] {
    const bool same = seen == executor.output();
    seen = executor.output();
    std::this_thread::sleep_for(200ms);
    return same && seen == executor.output();
  }));
  executor.resume();
  CHECK(test::eventually([&] { return executor.output() != seen; }));
  executor.pause().stop();
  CHECK_FALSE(executor.running());
}

SSH_TEST("it starts again, five times") {
  NEEDS_PLACE;
  const test::Mark mark;
  auto executor = Place::make(mark.line("echo ready; sleep 300"), mk::BannerCheck{"ready"}, budget);
  std::size_t descriptors = 0;
  for (int i = 0; i < 5; ++i) {
    executor.start();
    CHECK(executor.output() == "ready\n");
    executor.stop();
    if (i == 0) descriptors = test::open_fds().size();
  }
  executor.start().stopped([&] { CHECK(mark.count_processes() == 0); }).stop();
  CHECK(test::open_fds().size() == descriptors);
  CHECK(mark.all_gone());
}

SSH_TEST("a missing program and directory are errors of the start, with the reason") {
  NEEDS_PLACE;
  auto no_program = Place::make("no-such-program", budget);
  const auto message = test::message_of<mk::SpawnError>([&] { no_program.start(); });
  CHECK(message.starts_with("cannot run no-such-program"));
  CHECK(message.find("no such file or directory") != message.npos);
  CHECK_FALSE(no_program.running());

  auto no_directory = Place::make(mk::Command{.argv = "true", .cwd = "/no/such"}, budget);
  const auto where = test::message_of<mk::SpawnError>([&] { no_directory.start(); });
  CHECK(where.starts_with("cannot run in the directory /no/such"));
  CHECK(where.find("no such file or directory") != where.npos);

  auto no_right = Place::make("/etc/passwd", budget);
  CHECK(test::message_of<mk::SpawnError>([&] { no_right.start(); }).find("permission denied") !=
        std::string::npos);
}

SSH_TEST("start_all starts ten at once") {
  NEEDS_PLACE;
  const test::Mark mark;
  std::vector<decltype(Place::make("true", mk::BannerCheck{"x"}, budget))> all;
  for (int i = 0; i < 10; ++i)
    all.push_back(
        Place::make(mark.line("echo ready; sleep 300"), mk::BannerCheck{"ready"}, budget));
  mk::start_all(all);
  CHECK(mark.count_processes() >= 10);
  mk::stop_all(all);
  CHECK(mark.all_gone());
}

// Through ssh alone.

#define NEEDS_SSHD             \
  auto* const sshd = server(); \
  if (sshd == nullptr) return

TEST_CASE("Ssh: checks look at the far machine") {
  NEEDS_SSHD;
  const mk::FreePort port;
  mk::Executor server{{"python3", "-m", "http.server", "--bind", "127.0.0.1", port.str()},
                      sshd->ssh(),
                      mk::TCPCheck{mk::spawned_host, port},
                      mk::HTTPCheck{port.url()},
                      mk::ExecCheck{mk::Shell{"kill -0 $PPID"}},
                      mk::TalkCheck{.host = mk::spawned_host,
                                    .port = port,
                                    .send = "GET / HTTP/1.0\r\n\r\n",
                                    .expect = "200 OK"},
                      budget};
  server.start();
  CHECK(server.port() == port);
  server.stop();
}

TEST_CASE("Ssh: a host, a port and a key that do not work are told in time") {
  NEEDS_SSHD;
  const test::Elapsed elapsed;
  const auto message = [&](mk::Ssh ssh) {
    mk::Executor executor{"true", ssh, budget};
    const auto text = test::message_of<mk::SpawnError>([&] { executor.start(); });
    return text.substr(0, text.find('\n'));
  };
  auto unknown = sshd->ssh();
  unknown.host = "no-such-host.invalid";
  CHECK(
      message(unknown).starts_with("cannot run true on no-such-host.invalid: ssh: Could not "
                                   "resolve hostname no-such-host.invalid"));
  const mk::FreePort nobody;
  CHECK(message(sshd->through(nobody.str())) ==
        "cannot run true on 127.0.0.1: ssh: connect to host 127.0.0.1 port " + nobody.str() +
            ": Connection refused");
  CHECK(message(sshd->ssh("stranger")).find("Permission denied") != std::string::npos);
  CHECK(message({.host = ""}) == "cannot run true through ssh: Ssh needs a host");
  CHECK(message({.host = "a", .program = "no-such-ssh"}).starts_with("cannot run no-such-ssh"));
  CHECK(elapsed < 30s);
}

TEST_CASE("Ssh: a user, descriptors and a terminal cannot go there") {
  NEEDS_SSHD;
  const auto message = [&](auto&&... policies) {
    mk::Executor executor{"true", sshd->ssh(), policies...};
    const auto text = test::message_of<mk::SpawnError>([&] { executor.start(); });
    return text.substr(0, text.find('\n'));
  };
  CHECK(message(mk::Pty{}) == "cannot run true on 127.0.0.1: a terminal cannot be carried there");
}

TEST_CASE("Ssh: the far tree ends when the client is killed, and the error says so") {
  NEEDS_SSHD;
  const test::Mark mark;
  mk::Executor executor{
      mark.line("(trap '' TERM; sleep 300) & setsid sleep 300 & echo ready; sleep 300"),
      sshd->ssh(), mk::BannerCheck{"ready"}, mk::Silent{},
      mk::TimeoutBudget{.start = 30s, .stop = 1s}};
  executor.start();
  ::kill(executor.pid(), SIGKILL);
  CHECK(test::eventually([&] { return !executor.running(); }));
  CHECK(mark.all_gone(4s));
  CHECK(test::eventually([&] { return test::children_of(sshd->pid()).empty(); }));
  const auto message =
      test::message_of<mk::ProcessExitedWithError>([&] { executor.check_alive(); });
  CHECK(message.find("the connection to 127.0.0.1 has ended") != message.npos);
}

TEST_CASE("Ssh: the far tree ends by the strategy when its owner is killed") {
  NEEDS_SSHD;
  const test::Mark mark;
  const mk::TempDir dir{"owner"};
  const pid_t owner = ::fork();
  if (owner == 0) {
    mk::Executor executor{mark.line("trap 'echo term >" + (dir / "signal").native() +
                                    "; exit' TERM\n"
                                    "setsid sleep 300 & echo ready; while :; do sleep 0.05; done"),
                          sshd->ssh(), mk::BannerCheck{"ready"},
                          mk::TimeoutBudget{.start = 30s, .stop = 3s}};
    executor.start();
    std::ofstream{dir / "up"} << "up";
    for (;;) ::pause();
  }
  CHECK(test::eventually([&] { return std::filesystem::exists(dir / "up"); }, 20s));
  ::kill(owner, SIGKILL);
  ::waitpid(owner, nullptr, 0);
  CHECK(mark.all_gone(6s));
  CHECK(test::eventually([&] { return test::children_of(sshd->pid()).empty(); }));
  CHECK(test::slurp(dir / "signal") == "term\n");
}

TEST_CASE("Ssh: a launcher's words come from the request alone") {
  const mk::Ssh ssh{
      .host = "node7", .user = "me", .options = {"-p", "2222"}, .program = "/opt/ssh"};
  const auto launched = ssh.launch({.words = {"server", "--port", "1"}, .id = "1:a"});
  const std::vector<std::string> begin{"/opt/ssh", "-T", "-p", "2222"};
  REQUIRE(launched.words.size() > 8);
  CHECK(std::equal(begin.begin(), begin.end(), launched.words.begin()));
  const std::vector<std::string> end{
      "-l", "me", "--", "node7", R"sh(exec sh -c 'IFS= read -r s && eval "$(printf %b "$s")"')sh"};
  CHECK(std::equal(end.begin(), end.end(), launched.words.end() - 5));
  REQUIRE(launched.far);
  CHECK(launched.far->program == "server");
  CHECK(launched.far->place == "me@node7");
  CHECK(launched.far->opening.find('\n') == launched.far->opening.size() - 1);
  CHECK(launched.cwd.empty());
  CHECK(launched.id == "launcher/1:a");
  const auto guarantee = mk::Executor<mk::Ssh>::guarantee();
  CHECK(guarantee == mk::Guarantee::far_group_ends_with_connection);
}
