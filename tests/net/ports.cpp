// SPDX-License-Identifier: BSL-1.0
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <cstdint>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/net/ports.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "net.hpp"
#include "process.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::listening_advice;
using mk::detail::listening_sockets;
using mk::detail::who_listens;

namespace {

std::uint16_t u16(int port) { return static_cast<std::uint16_t>(port); }

/// This process as who_listens() describes it.
std::string me() {
  auto line = test::slurp("/proc/self/cmdline");
  line.pop_back();  // the last NUL
  std::replace(line.begin(), line.end(), '\0', ' ');
  return "pid " + std::to_string(::getpid()) + " (" + line + ')';
}

/// A socket bound to a loopback address. Empty if the system does not have this address.
mk::detail::UniqueFd bound(int family, int port) {
  mk::detail::UniqueFd socket{::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const int yes = 1;  // the kernel may remember an earlier connection to this port
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(u16(port));
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(u16(port));
  v6.sin6_addr = in6addr_loopback;
  const auto* const address = family == AF_INET ? reinterpret_cast<const sockaddr*>(&v4)
                                                : reinterpret_cast<const sockaddr*>(&v6);
  const auto size = static_cast<socklen_t>(family == AF_INET ? sizeof v4 : sizeof v6);
  if (socket && ::bind(socket.get(), address, size) != 0) socket.reset();
  return socket;
}

}  // namespace

TEST_CASE("listening_advice: the ports of a process, but not the one that is asked for") {
  const test::Port port;
  mk::TCPExecutor server{{test::helper(), "listen", "127.0.0.1", port.str()},
                         mk::TCPCheck{"127.0.0.1", port.number()},
                         test::in_time};
  const auto pid = server.start().pid();
  CHECK(listening_advice(pid, 0, "127.0.0.1", 1) ==
        "it listens on 127.0.0.1:" + port.str() + " (pid " + std::to_string(pid) + ')');
  CHECK(listening_advice(pid, 0, "127.0.0.1", u16(port.number())).empty());
  CHECK(listening_advice(pid, 0, "localhost", u16(port.number())).empty());
  CHECK(listening_advice(pid, 0, "::1", u16(port.number())) ==
        "it listens on 127.0.0.1:" + port.str() + " (pid " + std::to_string(pid) + ')');
  CHECK(listening_advice(pid, 0, "", u16(port.number())).empty());
  server.stop();
  CHECK(listening_advice(pid, 0, "127.0.0.1", 1).empty());  // it is gone
}

TEST_CASE("listening_advice: the message of a time-out has the port that the tree listens on") {
  const test::Port asked, real;
  // A shell in between: any process of the tree counts.
  mk::TCPExecutor server{
      mk::Shell{test::helper() + " listen 127.0.0.1 " + real.str() + "; exit $?"},
      mk::TCPCheck{"127.0.0.1", asked.number()}, mk::TimeoutBudget{.start = 2s}};
  const auto message = test::message_of<mk::TimeoutExpired>([&] { server.start(); });
  CHECK(message.find("\n  note: it listens on 127.0.0.1:" + real.str() + " (pid ") !=
        std::string::npos);
}

TEST_CASE("listening_sockets: each socket of the tree once, by port and address") {
  const test::Port first, second;
  mk::Executor server{mk::Shell{test::helper() + " listen 0.0.0.0 " + second.str() + " & " +
                                test::helper() + " listen 127.0.0.1 " + first.str() + " & wait"},
                      mk::AllOf{mk::TCPCheck{"127.0.0.1", first.number()},
                                mk::TCPCheck{"127.0.0.1", second.number()}},
                      test::in_time};
  const pid_t shell = server.start().pid();
  bool complete = false;
  const auto sockets = listening_sockets(shell, test::parent_of(shell), complete);
  CHECK(complete);
  REQUIRE(sockets.size() == 2);
  CHECK(sockets[0].port < sockets[1].port);
  CHECK(sockets[0].pid != sockets[1].pid);
  for (const auto& [pid, address, port] : sockets) {
    CHECK(test::parent_of(pid) == shell);
    CHECK(address ==
          (port == first.number() ? "127.0.0.1:" + first.str() : "0.0.0.0:" + second.str()));
  }
}

TEST_CASE("who_listens: the process by its id and command line") {
  for (const int family : {AF_INET, AF_INET6}) {
    CAPTURE(family);
    const char* const host = family == AF_INET ? "127.0.0.1" : "::1";
    const int port = test::free_port();
    CHECK(who_listens(host, u16(port)).empty());
    auto socket = bound(family, port);
    if (family == AF_INET6 && !socket) continue;  // a system without IPv6
    REQUIRE(socket);
    CHECK(who_listens(host, u16(port)).empty());  // bound, but not listening
    REQUIRE(::listen(socket.get(), 1) == 0);
    CHECK(who_listens(host, u16(port)) == me());
    socket.reset();
    CHECK(who_listens(host, u16(port)).empty());
  }
}

TEST_CASE("who_listens: a connected socket does not listen") {
  const int port = test::free_port(), from = test::free_port();
  auto listener = bound(AF_INET, port);
  REQUIRE(listener);
  REQUIRE(::listen(listener.get(), 1) == 0);
  const auto client = bound(AF_INET, from);
  REQUIRE(client);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(u16(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
          0);
  const mk::detail::UniqueFd server{::accept(listener.get(), nullptr, nullptr)};
  REQUIRE(server);
  CHECK(who_listens("127.0.0.1", u16(from)).empty());
  CHECK(who_listens("127.0.0.1", u16(port)) == me());
  listener.reset();
  CHECK(who_listens("127.0.0.1", u16(port)).empty());
}

TEST_CASE("who_listens: it leaves no descriptor open") {
  const int port = test::free_port();
  const auto socket = bound(AF_INET, port);
  REQUIRE(socket);
  REQUIRE(::listen(socket.get(), 1) == 0);
  const auto before = test::open_fds();
  CHECK_FALSE(who_listens("127.0.0.1", u16(port)).empty());
  CHECK(who_listens("127.0.0.1", u16(test::free_port())).empty());
  CHECK(test::open_fds() == before);
}
