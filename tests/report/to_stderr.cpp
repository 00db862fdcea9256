// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "child.hpp"
#include "errors.hpp"
#include "files.hpp"
#include "net.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::helper;

namespace {

/// All that `action` prints to standard error, with MIRAKURU_LOG set.
template <class Action>
std::string printed(const char* log, Action action) {
  const test::TempDir directory;
  const auto path = directory / "stderr";
  if (log == nullptr)
    ::unsetenv("MIRAKURU_LOG");
  else
    ::setenv("MIRAKURU_LOG", log, 1);
  const int before = ::dup(STDERR_FILENO);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  REQUIRE(::dup2(file, STDERR_FILENO) == STDERR_FILENO);
  ::close(file);
  action();
  REQUIRE(::dup2(before, STDERR_FILENO) == STDERR_FILENO);
  ::close(before);
  ::unsetenv("MIRAKURU_LOG");
  return test::slurp(path);
}

const mk::Event news = mk::HadToBeKilled{"a", 10s};
const mk::Event step = mk::Spawned{"a", 1};

}  // namespace

TEST_CASE("ReportToStderr: an event is a line that begins with the library's name") {
  const auto line = "mirakuru: " + mk::line_of(news) + '\n';
  const auto both = [] {
    mk::ReportToStderr{}(news);
    mk::ReportToStderr{}(step);
  };
  CHECK(printed(nullptr, both) == line);
  CHECK(printed("", both) == line);
  CHECK(printed("verbose", both) == line + "mirakuru: " + mk::line_of(step) + '\n');
  CHECK(printed("silent", both).empty());
  for (const char* log : {"VERBOSE", "debug", "1", "True"})
    CHECK(printed(log, both) == line + "mirakuru: " + mk::line_of(step) + '\n');
  for (const char* log : {"Silent", "off", "0", "NONE"}) CHECK(printed(log, both).empty());
}

TEST_CASE("ReportToStderr: an unknown value of MIRAKURU_LOG is told once") {
  const auto line = "mirakuru: " + mk::line_of(news) + '\n';
  const auto twice = [] {
    CHECK_FALSE(mk::ReportToStderr{}.wants_steps());
    mk::ReportToStderr{}(news);
    mk::ReportToStderr{}(step);
  };
  CHECK(printed("ver\nbose", twice) ==
        "mirakuru: MIRAKURU_LOG is verbose or silent, not 'ver\\nbose'\n" + line);
  CHECK(printed("ver\nbose", twice) == line);
}

TEST_CASE("ReportToStderr: a standard error that nobody reads ends no test") {
  CHECK(test::in_child([] {
          int ends[2];
          if (::pipe(ends) != 0 || ::dup2(ends[1], STDERR_FILENO) < 0) return false;
          ::close(ends[0]);
          ::close(ends[1]);
          mk::ReportToStderr{}(news);
          return true;
        }) == 0);
}

TEST_CASE("ReportToStderr: nothing is printed when nothing is slow or wrong") {
  const auto good = [] {
    mk::OutputExecutor executor{mk::Shell{"echo ready; exec sleep 300"}, mk::BannerCheck{"ready"}};
    executor.start().stop().start();
  };
  CHECK(printed(nullptr, good).empty());
  const auto all = printed("verbose", good);
  CHECK(all.find(": spawned as pid ") != std::string::npos);
  CHECK(all.find(": a line with 'ready' after ") != std::string::npos);
  CHECK(all.find(": stopped after ") != std::string::npos);
}

TEST_CASE("ReportToStderr: a test that its runner kills has said for what it waited") {
  const test::TempDir directory;
  const test::Port port;
  const auto url = "http://127.0.0.1:" + port.str() + "/helth";
  const auto log = directory / "log";
  const pid_t child = ::fork();
  if (child == 0) {
    const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(file, STDERR_FILENO);
    mk::HTTPExecutor{test::python_server(port.str(), directory.path()), mk::HTTPCheck{url}}.start();
    ::_exit(0);
  }
  const auto said = [&] {
    const auto text = test::slurp(log);
    return text.find("still waiting for HEAD " + url + " (HTTP 404), 5") != text.npos &&
           text.find("; its last line: ") != text.npos && text.find("/helth") != text.npos;
  };
  CHECK(test::eventually(said, 20s));
  ::kill(child, SIGKILL);
  CHECK(::waitpid(child, nullptr, 0) == child);
  CHECK(test::eventually(
      [&] { return test::processes_matching("bind 127.0.0.1 " + port.str()) == 0; }, 20s));
}

TEST_CASE("ReportToStderr: the destructor tells the end that stop() would have thrown for") {
  const auto crash = [](auto... policies) {
    mk::Executor executor{mk::Shell{"echo 'FATAL: out of memory'; exit 9"}, policies...};
    executor.start().wait();
  };
  const std::string line =
      "mirakuru: echo 'FATAL: out of memory'; exit 9: exited with a non-zero code: 9, and nobody "
      "asked for its exit code; its last line: FATAL: out of memory\n";
  CHECK(printed(nullptr, crash) == line);
  CHECK(printed("silent", crash).empty());
  CHECK(printed(nullptr, [&] { crash(mk::Silent{}); }).empty());
  CHECK(printed(nullptr, [&] { crash(mk::Signals{.accept = {9}}); }).empty());
}

TEST_CASE("ReportToStderr: SIGKILL at the end of the stop budget is a line with the command") {
  const auto text = printed(nullptr, [] {
    mk::OutputExecutor executor{helper("ignore", "TERM"), mk::BannerCheck{"ready"},
                                mk::TimeoutBudget{.stop = 100ms}};
    executor.start().stop();
    executor.start().kill();
  });
  CHECK(text.starts_with("mirakuru: " + test::helper() +
                         " ignore TERM: had to be killed by SIGKILL, "));
  CHECK(text.find('\n') == text.size() - 1);
}
