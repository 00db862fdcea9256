// SPDX-License-Identifier: BSL-1.0
// The public face, as it is promised: this has to compile as written.
#include <string>
#include <type_traits>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

// A file that uses the library is compiled hundreds of times.
#if defined(_GLIBCXX_REGEX) || defined(BOOST_HANA_HPP)
#error "<mirakuru.hpp> includes a heavy header"
#endif
#if defined(MIRAKURU_SEPARATE_COMPILATION) && defined(ASIO_VERSION)
#error "<mirakuru.hpp> includes Asio in the form that is compiled once"
#endif

#include "support.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

TEST_CASE("the executors are made as promised") {
  mk::SimpleExecutor worker{"my_special_process"};
  mk::TCPExecutor smtp{{"smtpd", "-n", "localhost:1025"}, mk::TCPCheck{"localhost", 1025}};
  mk::HTTPExecutor web{"./http_server", mk::HTTPCheck{"http://127.0.0.1:6543/status"}};
  CHECK(smtp.command() == "smtpd -n localhost:1025");

  mk::Executor api{
      mk::Command{.argv = "./http_server --port 6543", .cwd = "/srv", .env = {{"LANG", "C"}}},
      mk::HTTPCheck{.url = "http://127.0.0.1:6543/status",
                    .status = "(200|404)",
                    .method = "POST",
                    .payload = {{"key", "hole"}},
                    .headers = {{"X-Test", "1"}}},
      [](const mk::Process& p) { return p.pid() > 0; },  // any predicate is a check
      mk::TimeoutBudget{.start = 10s, .stop = 5s}, mk::Signals{.stop = SIGINT, .kill = SIGKILL}};
  CHECK(api.command() == "./http_server --port 6543");

  const mk::SimpleExecutor argv{mk::Argv{"smtpd", "-n"}};
  const mk::SimpleExecutor line{mk::Argv{"smtpd -n"}};
  const mk::SimpleExecutor words{mk::Argv{std::vector<std::string>{"smtpd", "-n"}}};
  CHECK(argv.command() == "smtpd -n");
  CHECK(line.command() == "smtpd -n");
  CHECK(words.command() == "smtpd -n");
}

TEST_CASE("policies may come in any order, and the types are complete") {
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

TEST_CASE("a scope starts, stops in the middle, and stops at its end") {
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
