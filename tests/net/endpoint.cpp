// SPDX-License-Identifier: BSL-1.0
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/net/endpoint.hpp>

using mirakuru::detail::Endpoint;
using mirakuru::detail::endpoints_of;
using mirakuru::detail::known_endpoints;

namespace {

/// An endpoint as getnameinfo(3) writes it: "127.0.0.1 80".
std::string text_of(const Endpoint& endpoint) {
  char host[64], port[16];
  const int error = ::getnameinfo(endpoint.data(), endpoint.size, host, sizeof host, port,
                                  sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
  return error == 0 ? std::string{host} + ' ' + port : ::gai_strerror(error);
}

std::vector<std::string> texts_of(const std::vector<Endpoint>& endpoints) {
  std::vector<std::string> texts;
  for (const auto& endpoint : endpoints) texts.push_back(text_of(endpoint));
  return texts;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("Endpoint: an address is known without a resolver") {
  CHECK(texts_of(known_endpoints("127.0.0.1", 80)) == Texts{"127.0.0.1 80"});
  CHECK(texts_of(known_endpoints("192.0.2.7", 65535)) == Texts{"192.0.2.7 65535"});
  CHECK(texts_of(known_endpoints("::1", 8080)) == Texts{"::1 8080"});
  CHECK(texts_of(known_endpoints("2001:db8::1:2", 1)) == Texts{"2001:db8::1:2 1"});
}

TEST_CASE("Endpoint: localhost is both loopback addresses, IPv4 first") {
  CHECK(texts_of(known_endpoints("localhost", 80)) == Texts{"127.0.0.1 80", "::1 80"});
  for (const char* name : {"LOCALHOST", "localhost.", "LocalHost."})
    CHECK(known_endpoints(name, 80) == known_endpoints("localhost", 80));
}

TEST_CASE("Endpoint: an interface after a percent sign is part of the address") {
  const auto endpoints = known_endpoints("fe80::1%lo", 80);
  REQUIRE(endpoints.size() == 1);
  const auto& address = reinterpret_cast<const sockaddr_in6&>(endpoints[0].address);
  CHECK(address.sin6_scope_id == 1);  // "lo" has this number in every network namespace
  CHECK(ntohs(address.sin6_port) == 80);
  CHECK(known_endpoints("fe80::1%no-such-interface", 80).empty());
}

TEST_CASE("Endpoint: another name is not known without a resolver") {
  CHECK(known_endpoints("example.org", 80).empty());
  CHECK(known_endpoints("localhost..", 80).empty());
  CHECK(known_endpoints("localhosts", 80).empty());
  CHECK(known_endpoints("127.0.0.1.example.org", 80).empty());
}

TEST_CASE("Endpoint: a look-up gives the endpoints, or the error of getaddrinfo") {
  int error = -1;
  CHECK(texts_of(endpoints_of("127.0.0.1", 80, AI_NUMERICHOST, error)) == Texts{"127.0.0.1 80"});
  CHECK(error == 0);
  CHECK(texts_of(endpoints_of("::1", 81, AI_NUMERICHOST, error)) == Texts{"::1 81"});
  CHECK(error == 0);
  CHECK(endpoints_of("example.org", 80, AI_NUMERICHOST, error).empty());
  CHECK(error == EAI_NONAME);
}

TEST_CASE("Endpoint: two are equal if family, address and port are") {
  const auto one = [](const char* host, std::uint16_t port) {
    return known_endpoints(host, port).at(0);
  };
  CHECK(one("127.0.0.1", 80) == one("127.0.0.1", 80));
  CHECK_FALSE(one("127.0.0.1", 80) == one("127.0.0.1", 81));
  CHECK_FALSE(one("127.0.0.1", 80) == one("127.0.0.2", 80));
  CHECK(one("::1", 80) == one("::1", 80));
  CHECK_FALSE(one("::1", 80) == one("::1", 81));
  CHECK_FALSE(one("::1", 80) == one("::2", 80));
  CHECK_FALSE(one("::ffff:127.0.0.1", 80) == one("127.0.0.1", 80));
  // The sizes and the flow label do not matter: getsockname(2) may fill them in.
  auto labelled = one("::1", 80);
  reinterpret_cast<sockaddr_in6&>(labelled.address).sin6_flowinfo = 7;
  labelled.size = sizeof labelled.address;
  CHECK(labelled == one("::1", 80));
}
