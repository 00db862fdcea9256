// SPDX-License-Identifier: BSL-1.0
#include <sys/un.h>
#include <cstddef>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/net/socket_path.hpp>

using mirakuru::SocketPath;

TEST_CASE("SocketPath: a path that no socket can have is refused") {
  CHECK_THROWS_AS(SocketPath{""}, std::invalid_argument);
  CHECK_THROWS_AS(SocketPath{"@"}, std::invalid_argument);
  CHECK_THROWS_AS((SocketPath{std::string{"a\0b", 3}}), std::invalid_argument);
  CHECK_NOTHROW(SocketPath{std::string(107, 'x')});
  CHECK_THROWS_AS(SocketPath{std::string(108, 'x')}, std::invalid_argument);
  CHECK_NOTHROW(SocketPath{'@' + std::string(107, 'x')});
  CHECK_THROWS_AS(SocketPath{'@' + std::string(108, 'x')}, std::invalid_argument);
}

TEST_CASE("SocketPath: an address has a NUL behind a path, and in front of an abstract name") {
  constexpr auto head = offsetof(sockaddr_un, sun_path);
  const auto path = SocketPath{"/tmp/s"}.endpoint();
  CHECK(path.is_unix());
  CHECK(path.size == head + 7);
  const auto& address = reinterpret_cast<const sockaddr_un&>(path.address);
  CHECK(std::string{address.sun_path} == "/tmp/s");

  const auto name = SocketPath{"@name"}.endpoint();
  CHECK(SocketPath{"@name"}.abstract());
  CHECK(name.size == head + 5);
  const auto& abstract = reinterpret_cast<const sockaddr_un&>(name.address);
  CHECK(std::string{abstract.sun_path, 5} == std::string{"\0name", 5});
  CHECK(name == SocketPath{"@name"}.endpoint());
  CHECK_FALSE(name == path);
}
