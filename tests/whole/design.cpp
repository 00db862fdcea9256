// SPDX-License-Identifier: BSL-1.0
// The public face: it compiles as written, and works as its comments say.

// clang-format off
#include <mirakuru.hpp>
namespace mk = mirakuru;
using namespace std::chrono_literals;
// clang-format on

// Users compile their files hundreds of times: the header must be light.
#if defined(_GLIBCXX_REGEX) || defined(BOOST_HANA_HPP)
#error "<mirakuru.hpp> includes a heavy header"
#endif
#if defined(MIRAKURU_SEPARATE_COMPILATION) && defined(ASIO_VERSION)
#error "<mirakuru.hpp> includes Asio in the form that is compiled once"
#endif

#include <sys/stat.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include "files.hpp"
#include "net.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace {

/// The current directory, with programs of the names in the face; PATH leads to it.
class Stage {
 public:
  Stage() {
    program("my_special_process", "echo processed!; exec sleep 300");
    program("smtpd", "exec " + test::helper() + " listen 127.0.0.1 ${2#localhost:}");
    program("http_server", "echo listening on 6543; exec " + test::helper() +
                               " serve 127.0.0.1 6543 echo log=" + (directory_ / "log"));
    program("redis-server", "exec " + test::helper() + " listen 127.0.0.1 $2");
    ::setenv("PATH", (directory_.path() + ':' + path_).c_str(), 1);
    std::filesystem::current_path(directory_.path());
  }
  ~Stage() {
    std::filesystem::current_path(before_);
    ::setenv("PATH", path_.c_str(), 1);
  }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  const std::string& path() const { return directory_.path(); }
  /// The requests to the HTTP server.
  std::string requests() const { return test::slurp(directory_ / "log"); }

 private:
  void program(const char* name, const std::string& line) {
    const auto path = directory_ / name;
    std::ofstream{path} << "#!/bin/sh\n" << line << '\n';
    ::chmod(path.c_str(), 0755);
  }

  test::TempDir directory_;
  std::filesystem::path before_ = std::filesystem::current_path();
  std::string path_ = std::getenv("PATH");
};

/// The face has fixed ports; another run of this test may have them for a moment.
bool ports_are_free() {
  return test::eventually(
      [] {
        for (const int port : {1025, 6380, 6543})
          if (!test::Endpoint{"127.0.0.1", port}.can_bind()) return false;
        return true;
      },
      std::chrono::minutes{1});
}

}  // namespace

TEST_CASE("Design: the public face works as it is written") {
  const Stage stage;
  REQUIRE(ports_are_free());

  // clang-format off
// The seven executors of the original. Six are aliases of one template:
mk::SimpleExecutor     worker{"my_special_process"};                                          // Executor<>
mk::OutputExecutor     queue {"my_special_process", mk::BannerCheck{"processed!"}};           // Executor<BannerCheck>
mk::TCPExecutor        smtp  {{"smtpd", "-n", "localhost:1025"}, mk::TCPCheck{"localhost", 1025}};  // Executor<TCPCheck>
mk::UnixSocketExecutor db    {"my_special_process", mk::UnixSocketCheck{"/tmp/my.sock"}};     // Executor<UnixSocketCheck>
mk::HTTPExecutor       web   {"./http_server", mk::HTTPCheck{"http://127.0.0.1:6543/status"}};// Executor<TCPCheck, HTTPCheck>
mk::PidExecutor        daemon{"my_special_process", mk::PidCheck{"/var/msp/my.pid"}};         // Executor<PidCheck>

web.start();                       // blocks until ready; returns *this; throws on failure
web.running();                     // true
web.stop();                        // ends the whole tree; returns *this
web.start().stop().kill().stop();  // chaining; stop and kill of what is not running do nothing

// The seventh is the template itself: give it any checks and policies, in any order.
mk::Executor api{mk::Command{.argv = "./http_server --port 6543", .cwd = "/srv", .env = {{"LANG", "C"}}},
                 mk::BannerCheck{"listening on .*"},
                 mk::HTTPCheck{.url = "http://127.0.0.1:6543/status", .status = "(200|404)", .method = "POST",
                               .payload = {{"key", "hole"}}, .headers = {{"X-Test", "1"}}},
                 [](const mk::Process& p) { return p.pid() > 0; },          // any predicate is a check
                 mk::TimeoutBudget{.start = 10s, .stop = 5s},
                 mk::Signals{.stop = SIGINT, .kill = SIGKILL}};

{
  auto scoped = mk::TCPExecutor{"redis-server --port 6380", mk::TCPCheck{"127.0.0.1", 6380}}.start();  // moved out
  scoped.stopped([&] { /* it is down in here, and up again afterwards; exceptions pass through */ });
}                                                                            // destructor stops it

std::string out = mk::SimpleExecutor{"echo foobar"}.start().wait().output(); // everything printed, "foobar\n"
  // clang-format on

  CHECK(out == "foobar\n");
  CHECK_FALSE(web.running());
  CHECK_FALSE(test::connects("127.0.0.1", 6380));

  // The executors that were only made run, too. `db` and `daemon` do not: their files are outside
  // of the test's directory. `api` does not: its program is. The next test has it.
  CHECK(worker.start().running());
  CHECK(smtp.start().running());
  CHECK(queue.start().output() == "processed!\n");
  CHECK(smtp.command() == "smtpd -n localhost:1025");
  CHECK(db.command() == "my_special_process");
  CHECK(daemon.command() == "my_special_process");
  CHECK(api.command() == "./http_server --port 6543");
  web.start();
  CHECK(web.running());
  CHECK_THROWS_AS(web.stopped([] { throw std::out_of_range{"passes through"}; }),
                  std::out_of_range);
  CHECK(web.running());
}

TEST_CASE("Design: the executor with everything runs in a directory that exists") {
  const Stage stage;
  REQUIRE(ports_are_free());
  int asked = 0;
  mk::Executor api{
      mk::Command{.argv = "./http_server --port 6543", .cwd = stage.path(), .env = {{"LANG", "C"}}},
      mk::BannerCheck{"listening on .*"},
      mk::HTTPCheck{.url = "http://127.0.0.1:6543/status",
                    .status = "(200|404)",
                    .method = "POST",
                    .payload = {{"key", "hole"}},
                    .headers = {{"X-Test", "1"}}},
      [&](const mk::Process& p) { return ++asked > 0 && p.pid() > 0; },
      mk::TimeoutBudget{.start = 10s, .stop = 5s},
      mk::Signals{.stop = SIGINT, .kill = SIGKILL}};
  api.start();
  CHECK(asked == 1);
  CHECK(api.output() == "listening on 6543\n");
  const auto requests = stage.requests();
  CHECK(requests.starts_with("POST /status HTTP/1.1\r\n"));
  CHECK(requests.find("X-Test: 1\r\n") != std::string::npos);
  CHECK(requests.ends_with("key=hole"));
  CHECK(api.stop().exit_code() == -SIGINT);
}

TEST_CASE("Design: the words of a command come in three forms") {
  const mk::SimpleExecutor argv{mk::Argv{"smtpd", "-n"}};
  const mk::SimpleExecutor line{mk::Argv{"smtpd -n"}};
  const mk::SimpleExecutor words{mk::Argv{std::vector<std::string>{"smtpd", "-n"}}};
  CHECK(argv.command() == "smtpd -n");
  CHECK(line.command() == "smtpd -n");
  CHECK(words.command() == "smtpd -n");
}

TEST_CASE("Design: policies may come in any order, and the types are complete") {
  static_assert(sizeof(mk::Executor<mk::DirectSpawner, mk::TCPCheck>) > 0);
  static_assert(std::is_same_v<decltype(mk::Executor{"x", mk::TCPCheck{"h", 1}}), mk::TCPExecutor>);
  static_assert(
      std::is_same_v<decltype(mk::Executor{{"x", "y"}, mk::TCPCheck{"h", 1}}), mk::TCPExecutor>);
  static_assert(
      std::is_same_v<decltype(mk::Executor{mk::Command{.argv = "x"}}), mk::SimpleExecutor>);
  static_assert(std::is_same_v<decltype(mk::Executor{mk::Shell{"x"}}), mk::SimpleExecutor>);
  mk::Executor<mk::DirectSpawner, mk::TCPCheck> given{"x", mk::TCPCheck{"h", 1}};
  mk::Executor<mk::TCPCheck, mk::DirectSpawner> turned{"x", mk::DirectSpawner{},
                                                       mk::TCPCheck{"h", 1}};
  CHECK(given.command() == turned.command());
}

TEST_CASE("Design: a scope starts, stops in the middle, and stops at its end") {
  const test::Port port;
  pid_t pid = 0;
  {
    auto scoped = mk::TCPExecutor{"redis-server --save '' --port " + port.str(),
                                  mk::TCPCheck{"127.0.0.1", port.number()}}
                      .start();  // moved out
    scoped.stopped([&] { CHECK_FALSE(test::connects("127.0.0.1", port.number())); });
    CHECK(test::connects("127.0.0.1", port.number()));
    pid = scoped.pid();
  }
  CHECK_FALSE(test::alive(pid));

  std::string out = mk::SimpleExecutor{"echo foobar"}.start().wait().output();
  CHECK(out == "foobar\n");
}
