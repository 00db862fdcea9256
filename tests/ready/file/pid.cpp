// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/os/proc.hpp>

#include "child.hpp"
#include "errors.hpp"
#include "files.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;

namespace {

/// The time since the last write to the file.
std::chrono::nanoseconds age(const std::string& file) {
  struct stat status{};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::chrono::seconds{now.tv_sec - status.st_mtim.tv_sec} +
         std::chrono::nanoseconds{now.tv_nsec - status.st_mtim.tv_nsec};
}

/// Starts a command that writes a pid file late, and measures the delay until start() sees it: the
/// best of ten runs. `prepare` and the command have the directory in DIR, the file in PID.
struct Seen {
  std::chrono::nanoseconds late = std::chrono::hours{1};
  std::size_t looks = 1'000'000;

  Seen(const std::string& path, const std::string& prepare, const std::string& command) {
    for (int i = 0; i < 10 && (late > 60ms || looks > 25); ++i) {
      const test::TempDir directory;
      const auto variables = "DIR=" + directory.path() + "; PID=" + (directory / path) + "; ";
      mk::SimpleExecutor{mk::Shell{variables + prepare}}.start().wait();
      mk::PidExecutor executor{mk::Shell{variables + command + "; exec sleep 100"},
                               mk::PidCheck{.path = directory / path, .alive = true}, in_time};
      executor.start();
      late = std::min(late, age(directory / path));
      looks = std::min(looks, executor.timeline().checks[0].attempts);
      CHECK(test::slurp(directory / path) == std::to_string(executor.pid()) + "\n");
    }
  }
};

}  // namespace

TEST_CASE("PidCheck: a file that appears [scenario 40]") {
  const test::TempDir directory;
  const auto file = directory / "pid";
  mk::PidExecutor executor{
      {test::helper(), "touch", file, "delay=100"}, mk::PidCheck{file}, in_time};
  CHECK(executor.start().running());
  CHECK(executor.command().find("touch " + file) != std::string::npos);
}

TEST_CASE("PidCheck: a file without a name is refused [scenario 41]") {
  CHECK_THROWS_AS(static_cast<void>(mk::PidCheck{""}), std::invalid_argument);
}

TEST_CASE("PidCheck: the file exists in the scope, not before [scenario 42]") {
  const test::TempDir directory;
  const auto file = directory / "pid";
  CHECK_FALSE(test::exists(file));
  auto executor =
      mk::PidExecutor{{test::helper(), "touch", file, "delay=50"}, mk::PidCheck{file}, in_time}
          .start();
  CHECK(test::exists(file));
}

TEST_CASE("PidCheck: a file that comes too late is a timeout [scenario 43]") {
  const test::TempDir directory;
  const auto file = directory / "pid";
  mk::PidExecutor executor{{test::helper(), "touch", file, "delay=30000"},
                           mk::PidCheck{file},
                           mk::TimeoutBudget{.start = 200ms}};
  CHECK_THROWS_AS(executor.start(), mk::TimeoutExpired);
  CHECK_FALSE(executor.running());
}

TEST_CASE("PidCheck: a file that is there already is refused [scenario 44, defect 4]") {
  const test::TempDir directory;
  const auto file = directory / "pid";
  mk::PidExecutor first{
      {test::helper(), "pidfile", file}, mk::PidCheck{.path = file, .alive = true}, in_time};
  first.start();
  mk::PidExecutor second{"sleep 300", mk::PidCheck{file}, in_time};
  const auto message = [&] {
    try {
      second.start();
    } catch (const mk::AlreadyRunning& error) {
      return test::placeless(error.what());
    }
    return std::string{"started"};
  };
  CHECK(message() ==
        "the pid file " + file + " is there, of pid " + std::to_string(first.pid()) + " (" +
            test::helper() + " pidfile " + file +
            "): it seems to be already running\n  command: sleep 300\n  started at: L");
}

TEST_CASE("PidCheck: a file that is left over does not count, until it has another content") {
  const test::TempDir directory;
  const auto file = directory / "pid";
  const auto service = mk::Shell{"sleep 0.1; echo $$ > " + file + "; exec sleep 300"};
  std::ofstream{file} << "3999999\n";
  for (const bool alive : {false, true}) {
    const mk::PidCheck check{.path = file, .alive = alive};
    mk::PidExecutor executor{service, check, in_time};
    for (int runs = 0; runs < 3; ++runs) {
      executor.start();
      CHECK(test::slurp(file) == std::to_string(executor.pid()) + "\n");
      executor.kill();  // and its file stays
    }
    // Another process has got the id since.
    std::ofstream{file} << ::getpid() << '\n';
    const timespec old[2] = {{.tv_sec = 1000, .tv_nsec = 0}, {.tv_sec = 1000, .tv_nsec = 0}};
    REQUIRE(::utimensat(AT_FDCWD, file.c_str(), old, 0) == 0);
    executor.start();
    CHECK(test::slurp(file) == std::to_string(executor.pid()) + "\n");
    executor.kill();

    mk::PidExecutor never{"sleep 300", check, mk::TimeoutBudget{.start = 100ms}};
    const auto answer = [&] {
      const auto message = test::message_of<mk::TimeoutExpired>([&] { never.start(); });
      const auto begin = message.find("last answer: ") + 13;
      return message.substr(begin, message.find('\n', begin) - begin);
    };
    CHECK(answer().starts_with("it is left over from process "));
    std::ofstream{file} << ::getpid() << '\n';
    REQUIRE(::utimensat(AT_FDCWD, file.c_str(), old, 0) == 0);
    const auto self = mk::detail::describe_process(::getpid());
    CHECK(answer() == "it is left over from a process whose id " + self + " has now");
  }
}

TEST_CASE("PidCheck: a file without an id, or that nobody may read, is refused") {
  const test::TempDir directory;
  const auto file = directory / "pid";
  std::ofstream{file} << "begins\n";
  const auto message = [&] {
    try {
      mk::PidExecutor{"sleep 300", mk::PidCheck{file}, in_time}.start();
    } catch (const mk::AlreadyRunning& error) {
      return std::string{error.what()};
    }
    return std::string{"started"};
  };
  CHECK(message().starts_with("the pid file " + file + " is there, with no process id in it: "));
  REQUIRE(::chmod(file.c_str(), 0) == 0);
  REQUIRE(::chmod(directory.path().c_str(), 0755) == 0);
  CHECK(test::in_child([&] {
          return (::geteuid() != 0 || ::setresuid(65534, 65534, 65534) == 0) &&
                 message().starts_with("the pid file " + file +
                                       " is there, and nobody may read it: permission denied: ");
        }) == 0);
}

TEST_CASE("PidCheck: a file in a directory that is made later") {
  const test::TempDir directory;
  const auto file = directory / "a/b/pid";
  mk::PidExecutor executor{mk::Shell{"sleep 0.1; mkdir -p " + (directory / "a/b") +
                                     "; sleep 0.1; echo $$ > " + file + "; exec sleep 300"},
                           mk::PidCheck{.path = file, .alive = true},
                           mk::TimeoutBudget{.start = 10s}};
  CHECK(executor.start().running());
}

TEST_CASE("PidCheck: the process in the file must be alive, if that is asked for") {
  const test::TempDir directory;
  const auto file = directory / "pid";
  const auto outcome = [&](const std::string& content, std::chrono::nanoseconds budget) {
    // The time of a file is that of the kernel's last tick, which may be before the spawn.
    mk::PidExecutor executor{mk::Shell{"sleep 0.02; exec " + test::helper() + " touch " + file +
                                       " 'content=" + content + "'"},
                             mk::PidCheck{.path = file, .alive = true},
                             mk::TimeoutBudget{.start = budget}};
    std::string message = "started";
    try {
      executor.start();
    } catch (const mk::TimeoutExpired& error) {
      message = error.what();
      message = message.substr(message.find("last answer: "));
    }
    ::unlink(file.c_str());
    return message;
  };
  // On a busy machine the file may come later.
  const auto check = [&](const std::string& content, const std::string& expected) {
    std::string said;
    for (const auto budget : {200ms, 1000ms, 5000ms})
      if (said = outcome(content, budget); said.starts_with(expected)) return;
    CHECK(said == expected);
  };
  check(std::to_string(::getpid()) + "\\n", "started");
  check("", "last answer: it holds no process id");
  check("0\\n", "last answer: it holds no process id");
  check("-5\\n", "last answer: it holds no process id");
  check("12x\\n", "last answer: it holds no process id");
  check("99999999\\n", "last answer: there is no process 99999999");

  // The executor did not start this process: the digits may be the beginning of a longer id.
  const auto self = std::to_string(::getpid());
  check(self, "last answer: the process id " + self + " has no line end behind it yet");
  CHECK(outcome(self, 30s) == "started");

  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0);
  const auto zombie = std::to_string(child);
  check(zombie + "\\n", "last answer: there is no process " + zombie);
  ::waitpid(child, nullptr, 0);
}

TEST_CASE("PidCheck: an id that is written in pieces counts when it is whole") {
  const test::TempDir directory;
  const auto file = directory / "pid";
  mk::PidExecutor executor{
      mk::Shell{"printf 1 > " + file + "; sleep 0.5; echo $$ > " + file + "; exec sleep 100"},
      mk::PidCheck{.path = file, .alive = true}, in_time};
  const test::Elapsed elapsed;
  executor.start();
  CHECK(elapsed >= 500ms);
  CHECK(test::slurp(file) == std::to_string(executor.pid()) + "\n");
}

TEST_CASE("PidCheck: the id of the command itself needs no newline") {
  auto least = std::chrono::milliseconds::max();
  for (int i = 0; i < 10 && least >= 500ms; ++i) {
    const test::TempDir directory;
    const auto file = directory / "pid";
    mk::PidExecutor executor{mk::Shell{"printf $$ > " + file + "; exec sleep 100"},
                             mk::PidCheck{.path = file, .alive = true}, in_time};
    const test::Elapsed elapsed;
    executor.start();
    least = std::min(least, elapsed.ms());
  }
  CHECK(least < 500ms);
}

TEST_CASE("PidCheck: only the beginning of a large pid file is read") {
  const test::TempDir directory;
  const auto file = directory / "pid";
  mk::PidExecutor executor{mk::Shell{"truncate -s 2G " + file + "; exec sleep 100"},
                           mk::PidCheck{.path = file, .alive = true},
                           mk::TimeoutBudget{.start = 200ms}};
  const test::Elapsed elapsed;
  CHECK_THROWS_AS(executor.start(), mk::TimeoutExpired);
  CHECK(elapsed < 5s);
}

TEST_CASE("PidCheck: a pid file is seen when it is written, wherever it lies") {
  const auto check = [](const std::string& path, const std::string& prepare,
                        const std::string& command) {
    CAPTURE(prepare);
    CAPTURE(command);
    const Seen seen{path, prepare, command};
    CHECK(seen.late < 60ms);
    CHECK(seen.looks <= 25);
  };
  const std::string write = "sleep 0.5; echo $$ > $PID";
  check("pid", "", write);
  check("pid", "", "exec 3> $PID; sleep 0.5; echo $$ >&3");  // through an open descriptor
  check("pid", "", "echo none > $PID; sleep 0.5; echo $$ > $PID");
  check("pid", "", "sleep 0.5; echo $$ > $DIR/new; mv $DIR/new $PID");
  check("a/b/pid", "", "sleep 0.25; mkdir $DIR/a; sleep 0.25; mkdir $DIR/a/b; echo $$ > $PID");
  // Symbolic links; their targets do not exist yet.
  check("pid", "mkdir $DIR/a; ln -s $DIR/a/pid $PID", write);
  check("pid", "ln -s a/b/pid $PID", "sleep 0.25; mkdir -p $DIR/a/b; sleep 0.25; echo $$ > $PID");
  check("run/pid", "ln -s a $DIR/run", "sleep 0.25; mkdir $DIR/a; sleep 0.25; echo $$ > $PID");
  check("pid", "mkdir $DIR/a $DIR/b; ln -s a/1 $PID; ln -s ../b/2 $DIR/a/1", write);
}

TEST_CASE("PidCheck: links in a circle are no file") {
  const test::TempDir directory;
  REQUIRE(::symlink("b", (directory / "a").c_str()) == 0);
  REQUIRE(::symlink("a", (directory / "b").c_str()) == 0);
  mk::PidExecutor executor{"sleep 300", mk::PidCheck{directory / "a"},
                           mk::TimeoutBudget{.start = 100ms}};
  CHECK_THROWS_AS(executor.start(), mk::TimeoutExpired);
}

TEST_CASE("PidCheck: writes to other files in the directory do not wake the wait") {
  const Seen seen{"pid", "",
                  "i=0; while [ $i -lt 3000 ]; do echo $i >> $DIR/log; i=$((i+1)); done; "
                  "echo $$ > $PID"};
  CHECK(seen.looks <= 25);
}

TEST_CASE("PidCheck: a directory is no pid file") {
  const test::TempDir directory;
  mk::PidExecutor executor{"sleep 300", mk::PidCheck{directory.path()},
                           mk::TimeoutBudget{.start = 50ms}};
  CHECK_THROWS_AS(executor.start(), mk::TimeoutExpired);
}
