// SPDX-License-Identifier: BSL-1.0
// Addresses and messages; tests/net/listeners.cpp asks the kernel.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <cstring>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/net/sock_diag.hpp>

using namespace mirakuru::detail;

namespace {

in6_addr v6(const char* text) {
  in6_addr address{};
  REQUIRE(::inet_pton(AF_INET6, text, &address) == 1);
  return address;
}

std::string mapped(const char* text) {
  sockaddr_in in{};
  sockaddr_in6 in6{};
  in.sin_family = AF_INET;
  in6.sin6_family = AF_INET6;
  const bool is_v4 = ::inet_pton(AF_INET, text, &in.sin_addr) == 1;
  if (!is_v4) in6.sin6_addr = v6(text);
  const auto address = mapped_address(is_v4 ? reinterpret_cast<const sockaddr*>(&in)
                                            : reinterpret_cast<const sockaddr*>(&in6));
  char result[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(AF_INET6, &*address, result, sizeof result);
  return result;
}

}  // namespace

TEST_CASE("mapped_address: IPv4 is mapped, and all addresses are loopback") {
  CHECK(mapped("10.1.2.3") == "::ffff:10.1.2.3");
  CHECK(mapped("0.0.0.0") == "::ffff:127.0.0.1");
  CHECK(mapped("::") == "::1");
  CHECK(mapped("fe80::1") == "fe80::1");
  sockaddr other{};
  other.sa_family = AF_UNIX;
  CHECK_FALSE(mapped_address(&other));
}

TEST_CASE("is_loopback: 127.0.0.0/8 and ::1") {
  CHECK(is_loopback(v6("::1")));
  CHECK(is_loopback(v6("::ffff:127.9.9.9")));
  CHECK_FALSE(is_loopback(v6("::ffff:128.0.0.1")));
  CHECK_FALSE(is_loopback(v6("::2")));
}

TEST_CASE("ListenerEntry: a socket of the very address is closer than one of all") {
  const auto local = v6("::ffff:127.0.0.1"), six = v6("::1");
  ListenerEntry own{.address = local, .is_v4 = true},
      all{.address = v6("::ffff:0.0.0.0"), .is_v4 = true};
  ListenerEntry dual{.address = v6("::")}, only{.address = v6("::"), .v6_only = true};
  CHECK(own.distance_to(local) < all.distance_to(local));
  CHECK(all.distance_to(local) < dual.distance_to(local));
  CHECK(dual.distance_to(six).has_value());
  CHECK_FALSE(only.distance_to(local));
  CHECK(only.distance_to(six).has_value());
  CHECK_FALSE(all.distance_to(six));
  CHECK_FALSE(own.distance_to(v6("::ffff:127.0.0.2")));
}

TEST_CASE("SockDiag: an answer is read with its attributes, and a cut one is no harm") {
  SockDiag::Answer answer{};
  answer.family = AF_INET6;
  answer.port = htons(8080);
  answer.inode = 42;
  answer.user = 7;
  const auto address = v6("fe80::1");
  std::memcpy(answer.address, &address, sizeof answer.address);
  std::vector<char> bytes(sizeof answer);
  std::memcpy(bytes.data(), &answer, sizeof answer);
  CHECK_FALSE(SockDiag::entry(bytes.data(), bytes.size()).v6_only);
  const auto attribute = {'\5', '\0', '\13', '\0', '\1', '\0', '\0', '\0'};  // length, type, value
  bytes.insert(bytes.end(), attribute);
  const auto entry = SockDiag::entry(bytes.data(), bytes.size());
  CHECK(entry.v6_only);
  CHECK_FALSE(entry.is_v4);
  CHECK(entry.port == 8080);
  CHECK(entry.inode == 42);
  CHECK(entry.user == 7);
  CHECK(std::memcmp(&entry.address, &address, sizeof address) == 0);
  bytes.resize(bytes.size() - 5);
  CHECK_FALSE(SockDiag::entry(bytes.data(), bytes.size()).v6_only);
}
