// SPDX-License-Identifier: BSL-1.0
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cstddef>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/net/socket_path.hpp>
#include <mirakuru/net/unix_owner.hpp>

#include "child.hpp"

using mirakuru::detail::UniqueFd;
using mirakuru::detail::user_of_listener;

namespace {

std::string fresh_name() {
  static int count = 0;
  return "mirakuru-test-" + std::to_string(::getpid()) + '-' + std::to_string(++count);
}

UniqueFd bound(const std::string& name) {
  UniqueFd socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
  const auto end = mirakuru::SocketPath{'@' + name}.endpoint();
  REQUIRE(::bind(socket.get(), end.data(), end.size) == 0);
  return socket;
}

}  // namespace

TEST_CASE("user_of_listener: it is the user who has made the socket, not of a longer name") {
  const auto name = fresh_name();
  const auto socket = bound(name), longer = bound(name + "-longer");
  const auto whole = std::string(1, '\0') + name;
  REQUIRE(::listen(longer.get(), 1) == 0);
  CHECK_FALSE(user_of_listener(whole));  // it does not listen yet
  REQUIRE(::listen(socket.get(), 1) == 0);
  const auto user = user_of_listener(whole);
  if (!user) {
    MESSAGE("skipped: this kernel does not tell");
    return;
  }
  CHECK(*user == ::geteuid());
  CHECK_FALSE(user_of_listener(name));
  CHECK_FALSE(user_of_listener(whole.substr(0, whole.size() - 1)));
}

TEST_CASE("user_of_listener: another user's socket is the other's" *
          doctest::skip(::geteuid() != 0)) {
  const auto name = fresh_name();
  const auto whole = std::string(1, '\0') + name;
  CHECK(test::in_child([&] {
          if (::seteuid(65534) != 0) return false;
          const auto socket = bound(name);
          if (::listen(socket.get(), 1) != 0 || ::seteuid(0) != 0) return false;
          const auto user = user_of_listener(whole);
          return !user || *user == 65534;
        }) == 0);
}
