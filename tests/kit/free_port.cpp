// SPDX-License-Identifier: BSL-1.0
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/kit/free_port.hpp>

#include "child.hpp"
#include "files.hpp"
#include "net.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::ports_outside;

namespace {

std::string text(const std::vector<mk::detail::PortRange>& ranges) {
  std::string result;
  for (const auto& range : ranges)
    result += std::to_string(range.first) + '-' + std::to_string(range.last) + ' ';
  return result;
}

/// A socket without any option, bound to a port; 0: the kernel chooses.
int bound_socket(std::uint16_t port, bool listens) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      (listens && ::listen(fd, 16) != 0)) {
    ::close(fd);
    return -1;
  }
  return fd;
}

std::uint16_t port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

/// True if somebody has the port, or a connection of it is remembered.
bool is_in_use(std::uint16_t port) {
  char number[8];
  std::snprintf(number, sizeof number, ":%04X ", port);
  return test::contains(test::slurp("/proc/net/tcp"), number) ||
         test::contains(test::slurp("/proc/net/tcp6"), number);
}

}  // namespace

TEST_CASE("FreePort: the ports that the kernel hands out to nobody") {
  CHECK(text(ports_outside("32768\t60999", "")) == "10000-32767 61000-65535 ");
  CHECK(text(ports_outside("", "")) == "10000-32767 61000-65535 ");
  CHECK(text(ports_outside("9000 65535", "")) == "1024-8999 ");
  CHECK(text(ports_outside("1024 65535", "")) == "");
  CHECK(text(ports_outside("1024 65535", "8080,30000-30010,70000-70001")) == "30000-30010 ");
  CHECK(text(ports_outside("1024 65535", "8080")) == "8080-8080 ");
}

TEST_CASE("FreePort: it is a word, a port, an integer, and prints") {
  const mk::FreePort port;
  const auto number = std::to_string(port.number());
  CHECK(mk::Word{port}.str() == number);
  CHECK(mk::Port{port} == port.number());
  const int integer = port;
  CHECK(std::to_string(integer) == number);
  std::ostringstream printed;
  printed << port;
  CHECK(printed.str() == number);
  CHECK(port.url("/health") == "http://127.0.0.1:" + number + "/health");
  CHECK(port.url("health") == port.url("/health"));
  CHECK(mk::TCPCheck{"localhost", port}.port == port.number());
  CHECK(mk::HTTPCheck{port.url("/")}.url.text() == "http://127.0.0.1:" + number + "/");
}

TEST_CASE("FreePort: several programs at once get different ports, and nobody takes them") {
  constexpr int programs = 8, each = 60;
  int ends[2], hold[2];
  REQUIRE(::pipe(ends) == 0);
  REQUIRE(::pipe(hold) == 0);
  std::vector<pid_t> children;
  for (int i = 0; i < programs; ++i) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    ::close(hold[1]);
    const std::vector<mk::FreePort> ports(each);
    std::uint16_t numbers[each];
    std::copy(ports.begin(), ports.end(), numbers);
    const bool written = ::write(ends[1], numbers, sizeof numbers) == sizeof numbers;
    char end;
    const bool over = ::read(hold[0], &end, 1) == 0;  // until the parent has looked
    ::_exit(written && over ? 0 : 1);
  }
  ::close(ends[1]);
  std::multiset<std::uint16_t> taken;
  for (std::uint16_t number; ::read(ends[0], &number, sizeof number) == sizeof number;)
    if (taken.insert(number), taken.size() == programs * each) break;
  CHECK(taken.size() == programs * each);
  CHECK(std::set<std::uint16_t>(taken.begin(), taken.end()).size() == taken.size());

  // Ports of the kernel, and of outgoing connections.
  const int server = bound_socket(0, true);
  REQUIRE(server >= 0);
  sockaddr_in address{};
  socklen_t size = sizeof address;
  REQUIRE(::getsockname(server, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  int stolen = 0;
  for (int i = 0; i < 3000; ++i) {
    const int fd = bound_socket(0, false);
    stolen += static_cast<int>(taken.count(port_of(fd)));
    ::close(fd);
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0)
      stolen += static_cast<int>(taken.count(port_of(client)));
    const linger reset{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    ::close(client);
    if (const int accepted = ::accept(server, nullptr, nullptr); accepted >= 0) ::close(accepted);
  }
  CHECK(stolen == 0);

  // A bare server can listen on each, unless a program without this library has taken it: the
  // tests beside this one do.
  int refused = 0;
  for (const auto number : taken) {
    int fd = -1;
    const auto listens_or_taken = [&] {
      fd = bound_socket(number, true);
      return fd >= 0 || is_in_use(number);
    };
    refused += test::eventually(listens_or_taken) ? 0 : 1;
    ::close(fd);
  }
  CHECK(refused == 0);
  ::close(server);
  ::close(hold[1]);
  ::close(hold[0]);
  ::close(ends[0]);
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
  }
}

TEST_CASE("FreePort: a holder that is killed lets it go at once") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  std::uint16_t number = 0;
  CHECK(test::in_child([&] {
          const mk::FreePort port;
          const std::uint16_t own = port;
          if (::write(ends[1], &own, sizeof own) != sizeof own) return false;
          ::raise(SIGKILL);
          return false;
        }) == 128 + SIGKILL);
  REQUIRE(::read(ends[0], &number, sizeof number) == sizeof number);
  ::close(ends[0]);
  ::close(ends[1]);
  CHECK(mk::detail::lock_port(number));
}

TEST_CASE("FreePort: the guardian of a service does not hold it") {
  std::optional<mk::FreePort> port{std::in_place};
  mk::SimpleExecutor service{"sleep 300"};
  service.start();
  const auto number = port->number();
  CHECK_FALSE(mk::detail::lock_port(number));
  port.reset();
  CHECK(mk::detail::lock_port(number));
}

TEST_CASE("FreePort: a port in use and one that a connection remembers are left out") {
  const mk::FreePort port;
  CHECK(mk::detail::is_free(port));
  const int server = bound_socket(port, true);
  REQUIRE(server >= 0);
  CHECK_FALSE(mk::detail::is_free(port));
  sockaddr_in address{};
  socklen_t size = sizeof address;
  REQUIRE(::getsockname(server, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  const int accepted = ::accept(server, nullptr, nullptr);
  ::close(accepted);  // the server's side closes first, and remembers
  ::close(client);
  ::close(server);
  CHECK_FALSE(mk::detail::is_free(port));
}

TEST_CASE("FreePort: real servers listen on theirs, twice in a row") {
  const mk::FreePort port;
  const auto run = [&](const mk::Command& command, const char* host) {
    INFO(mk::Executor{command} << " on " << host);
    for (int times = 0; times < 2; ++times) {
      mk::TCPExecutor server{command, mk::TCPCheck{host, port}, mk::TimeoutBudget{.start = 30s}};
      try {
        server.start();
      } catch (const mk::SpawnError& error) {
        MESSAGE("left out: ", error.what());
        return;
      }
      CHECK(server.running());
      server.kill();
    }
  };
  for (const char* host : {"127.0.0.1", "localhost", "::1", "0.0.0.0"}) {
    const std::string address = std::string{host} == "localhost" ? "127.0.0.1" : host;
    const std::string seen = address == "0.0.0.0" ? "127.0.0.1" : address;
    run({.argv = {"redis-server", "--port", port, "--bind", address, "--save", ""}}, seen.c_str());
    run({.argv = {"python3", "-m", "http.server", "--bind", address, port}}, seen.c_str());
    run({.argv = {test::helper(), "listen", address, port}}, seen.c_str());
  }
}
