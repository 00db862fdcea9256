// SPDX-License-Identifier: BSL-1.0
// The scenarios of a start, a stop, input, output, environment and exit codes, for each place that
// a command runs in. A program defines FAR_TEST(name), a test for each type `Place`, and includes
// this once.

#pragma once

#include <sys/stat.h>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "mark.hpp"
#include "process.hpp"
#include "time.hpp"

namespace {

constexpr mk::TimeoutBudget budget{.start = 30s, .stop = 5s};

}  // namespace

#define NEEDS_PLACE \
  if (!Place::there_is()) return

FAR_TEST("a line and words start, run and stop") {
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

FAR_TEST("each stop signal reaches the command") {
  NEEDS_PLACE;
  for (const int signal : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1}) {
    auto executor = Place::make("sleep 300", budget, mk::Signals{.stop = signal});
    executor.start().stop();
    CHECK(executor.exit_code() == -signal);
    executor.start().stop(SIGUSR2);
    CHECK(executor.exit_code() == -SIGUSR2);
  }
}

FAR_TEST("a signal reaches the whole process group") {
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

FAR_TEST("a process that ignores the stop signal is killed at the end of the budget") {
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

FAR_TEST("kill() ends the tree, and its exit code is no error") {
  NEEDS_PLACE;
  const test::Mark mark;
  auto executor = Place::make(mark.line("echo ready; sleep 300"), mk::BannerCheck{"ready"}, budget);
  executor.start().kill();
  CHECK(executor.exit_code() == -SIGKILL);
  CHECK(mark.all_gone());
}

FAR_TEST("a process in a session of its own ends with stop()") {
  NEEDS_PLACE;
  const test::Mark mark;
  auto executor = Place::make(mark.line("setsid sleep 300 & echo ready; sleep 300"),
                              mk::BannerCheck{"ready"}, mk::Silent{}, budget);
  executor.start().stop();
  CHECK(mark.all_gone());
}

FAR_TEST("kill() ends processes that are born meanwhile outside of the group") {
  NEEDS_PLACE;
  const test::Mark mark;
  auto executor =
      Place::make(mark.line("setsid sh -c 'while :; do setsid sleep 300 & sleep 0.01; done' &\n"
                            "echo ready; sleep 300"),
                  mk::BannerCheck{"ready"}, mk::Silent{}, budget);
  for (int i = 0; i < 5; ++i) {
    executor.start();
    const test::Elapsed elapsed;
    executor.kill();
    CHECK(mark.count_processes() == 0);
    CHECK(elapsed < 1900ms);  // the connection is not cut
  }
}

FAR_TEST("exit codes are told") {
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

FAR_TEST("stop() of a failed process reports the failure") {
  NEEDS_PLACE;
  auto executor = Place::make(mk::Shell{"exit 3"}, budget);
  executor.start().wait(20s);
  CHECK_THROWS_AS(executor.stop(), mk::ProcessFinishedWithError);
  CHECK(executor.start().wait(20s).stop(SIGTERM, {3}).exit_code() == 3);
}

FAR_TEST("an end before it is ready is an error at once, with the last output") {
  NEEDS_PLACE;
  auto executor = Place::make(mk::Shell{"echo out; echo bad luck >&2; exit 5"},
                              mk::BannerCheck{"never"}, budget);
  const auto message = test::message_of<mk::ProcessExitedWithError>([&] { executor.start(); });
  CHECK(message.starts_with("exited with a non-zero code: 5 before it was ready"));
  CHECK(message.find("    bad luck") != message.npos);
  CHECK(message.find("    out") != message.npos);
}

FAR_TEST("standard output and standard error are apart, byte by byte") {
  NEEDS_PLACE;
  auto executor = Place::make(
      mk::Shell{R"(printf 'a\000b\001\n\377'; printf '\000\000mirakuru \000x\nno end' >&2)"},
      budget);
  executor.start().wait(20s);
  CHECK(executor.output() == std::string{"a\0b\1\n\377", 6});
  CHECK(executor.err_output() == std::string{"\0\0mirakuru \0x\nno end", 20});
}

FAR_TEST("a megabyte of output and of standard error comes whole") {
  NEEDS_PLACE;
  auto executor = Place::make(
      mk::Shell{"head -c 1000000 /dev/zero | tr '\\0' x; head -c 1000000 /dev/zero >&2"}, budget);
  executor.start().wait(20s);
  CHECK(executor.output() == std::string(1'000'000, 'x'));
  CHECK(executor.err_output() == std::string(1'000'000, '\0'));
}

FAR_TEST("odd words, variables and directories arrive unchanged") {
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

FAR_TEST("the variable of a command, its PATH and its clean environment hold") {
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

FAR_TEST("a variable whose name begins with a dash arrives") {
  NEEDS_PLACE;
  for (const bool clean : {false, true}) {
    auto executor = Place::make(mk::Command{.argv = {"/usr/bin/env"},
                                            .env = {{"-i", "one"}, {"-u", "two"}, {"--", "three"}},
                                            .clean_env = clean},
                                budget);
    executor.start().wait(20s);
    CHECK(executor.exit_code() == 0);
    for (const auto* line : {"-i=one\n", "-u=two\n", "--=three\n"})
      CHECK_MESSAGE(executor.output().find(line) != std::string::npos, executor.output());
  }
}

FAR_TEST("an empty item of PATH is the command's directory") {
  NEEDS_PLACE;
  const mk::TempDir dir{"item"};
  dir.write("a-program", "#!/bin/sh\necho found\n");
  std::filesystem::permissions(dir / "a-program", std::filesystem::perms::owner_all);
  for (const auto* path : {"/bin:", ":/bin", "/bin::/usr/bin"}) {
    auto executor = Place::make(
        mk::Command{.argv = "a-program", .cwd = dir.path(), .env = {{"PATH", path}}}, budget);
    CAPTURE(path);
    executor.start().wait(20s);
    CHECK(executor.output() == "found\n");
  }
}

FAR_TEST("a directory whose name is a word of cd is a directory") {
  NEEDS_PLACE;
  for (const auto* name : {"-", "-P", "no-such"}) {
    auto executor = Place::make(mk::Command{.argv = "true", .cwd = name}, budget);
    const auto message = test::message_of<mk::SpawnError>([&] { executor.start(); });
    CHECK_MESSAGE(message.find(name) != message.npos, message);
  }
}

FAR_TEST("the file mode mask and limits are the test's") {
  NEEDS_PLACE;
  const auto before = ::umask(027);
  auto executor = Place::make(mk::Shell{"umask; ulimit -n; ulimit -c"},
                              mk::Limits{.files = 100, .core = 0}, budget);
  executor.start().wait(20s);
  ::umask(before);
  CHECK(executor.output() == "0027\n100\n0\n");
}

FAR_TEST("write() and close_input() reach the command") {
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

FAR_TEST("an input that is a text or nothing ends") {
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

FAR_TEST("a command that does not read its input gets its signals") {
  NEEDS_PLACE;
  auto executor = Place::make(mk::Shell{"trap 'echo bye; exit 0' TERM; echo ready\n"
                                        "while :; do sleep 0.05; done"},
                              mk::BannerCheck{"ready"}, budget);
  executor.start();
  // All pipes on the way are full.
  CHECK_THROWS_AS(executor.write(std::string(1'000'000, 'y'), 1s), mk::TimeoutExpired);
  const test::Elapsed elapsed;
  executor.stop();
  CHECK(elapsed < 4s);
  CHECK(executor.output() == "ready\nbye\n");
  CHECK(executor.exit_code() == 0);
}

FAR_TEST("StopByInput ends a command that reads") {
  NEEDS_PLACE;
  auto executor = Place::make(mk::Shell{"cat; echo end"}, mk::StopByInput{}, budget);
  executor.start().write("a\n").stop();
  CHECK(executor.output() == "a\nend\n");
  CHECK(executor.exit_code() == 0);
}

FAR_TEST("output goes to files") {
  NEEDS_PLACE;
  const mk::TempDir dir{"out"};
  auto executor = Place::make(mk::Shell{"echo one; echo two >&2"},
                              mk::ToFile{.path = dir / "out", .err_path = dir / "err"}, budget);
  executor.start().wait(20s);
  executor.stop();
  CHECK(test::slurp(dir / "out") == "one\n");
  CHECK(test::slurp(dir / "err") == "two\n");
}

FAR_TEST("pause() stops all processes, and resume() lets them go on") {
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

FAR_TEST("a command that is paused hears the stop signal") {
  NEEDS_PLACE;
  auto executor = Place::make(mk::Shell{"trap 'echo bye; exit 0' TERM; echo ready\n"
                                        "while :; do sleep 0.05; done"},
                              mk::BannerCheck{"ready"}, budget);
  executor.start().pause();
  const test::Elapsed elapsed;
  executor.stop();
  CHECK(elapsed < 4s);
  CHECK(executor.output() == "ready\nbye\n");
  CHECK(executor.exit_code() == 0);
}

FAR_TEST("a process that left a command with a mark of its own ends with stop()") {
  NEEDS_PLACE;
  const test::Mark mark, other_mark;
  const auto make = [](const test::Mark& all, const char* own) {
    auto command = all.line("setsid sleep 300 & echo ready; sleep 300; exit");
    command.env["mirakuru_uuid"] = own;
    return Place::make(command, mk::BannerCheck{"ready"}, mk::Silent{}, budget);
  };
  auto executor = make(mark, "mine"), other = make(other_mark, "mine-too");
  mk::start_all(executor, other);
  REQUIRE(test::eventually([&] { return other_mark.count_processes() == 3; }));
  executor.stop();
  CHECK(mark.all_gone());
  CHECK(other_mark.count_processes() == 3);
  other.stop();
  CHECK(other_mark.all_gone());
}

FAR_TEST("it starts again, five times") {
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

FAR_TEST("a missing program and directory are errors of the start, with the reason") {
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

FAR_TEST("start_all starts ten at once") {
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
