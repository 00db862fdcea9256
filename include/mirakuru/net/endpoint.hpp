// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <mirakuru/net/address.hpp>

namespace mirakuru::detail {

/// The address of a socket, as system calls take it: IPv4 or IPv6 with a port, or a Unix socket.
struct Endpoint {
  sockaddr_storage address = {};
  socklen_t size = 0;

  [[nodiscard]] const sockaddr* data() const noexcept {
    return reinterpret_cast<const sockaddr*>(&address);
  }
  [[nodiscard]] bool is_unix() const noexcept { return address.ss_family == AF_UNIX; }
  /// In host byte order; 0 for a Unix socket.
  [[nodiscard]] std::uint16_t port() const noexcept {
    // It has the same place in both structs.
    return is_unix() ? std::uint16_t{0}
                     : ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  }
  /// The same address with another port.
  [[nodiscard]] Endpoint with_port(std::uint16_t number) const noexcept {
    Endpoint other = *this;
    if (!is_unix()) reinterpret_cast<sockaddr_in&>(other.address).sin_port = htons(number);
    return other;
  }
  /// True for the same address and port.
  [[nodiscard]] bool operator==(const Endpoint& other) const noexcept {
    if (address.ss_family != other.address.ss_family) return false;
    if (is_unix()) return size == other.size && std::memcmp(&address, &other.address, size) == 0;
    if (address.ss_family == AF_INET) {
      const auto& mine = reinterpret_cast<const sockaddr_in&>(address);
      const auto& its = reinterpret_cast<const sockaddr_in&>(other.address);
      return mine.sin_port == its.sin_port && mine.sin_addr.s_addr == its.sin_addr.s_addr;
    }
    const auto& mine = reinterpret_cast<const sockaddr_in6&>(address);
    const auto& its = reinterpret_cast<const sockaddr_in6&>(other.address);
    return mine.sin6_port == its.sin6_port &&
           std::memcmp(&mine.sin6_addr, &its.sin6_addr, sizeof mine.sin6_addr) == 0;
  }
};

/// Looks up the endpoints of a host, and waits for the resolver. `flags` go into `ai_flags`, and
/// `error` gets the result, 0 or an `EAI_` number. Rests on `getaddrinfo`.
[[nodiscard, gnu::cold]] inline std::vector<Endpoint> endpoints_of(const std::string& host,
                                                                   std::uint16_t port, int flags,
                                                                   int& error) {
  addrinfo hints{};
  hints.ai_flags = flags | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner{list, ::freeaddrinfo};
  std::vector<Endpoint> endpoints;
  for (const auto* entry = list; error == 0 && entry != nullptr; entry = entry->ai_next) {
    Endpoint endpoint{.size = entry->ai_addrlen};
    std::memcpy(&endpoint.address, entry->ai_addr, entry->ai_addrlen);
    endpoints.push_back(endpoint);
  }
  return endpoints;
}

/// The endpoints of an address or of `localhost`, without a resolver. Empty for any other name.
[[nodiscard, gnu::cold]] inline std::vector<Endpoint> known_endpoints(const std::string& host,
                                                                      std::uint16_t port) {
  Endpoint v4{.size = sizeof(sockaddr_in)}, v6{.size = sizeof(sockaddr_in6)};
  auto& in = reinterpret_cast<sockaddr_in&>(v4.address);
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  auto& in6 = reinterpret_cast<sockaddr_in6&>(v6.address);
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(port);
  if (is_localhost(host)) {
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in6.sin6_addr = in6addr_loopback;
    return {v4, v6};
  }
  if (::inet_pton(AF_INET, host.c_str(), &in.sin_addr) == 1) return {v4};
  if (::inet_pton(AF_INET6, host.c_str(), &in6.sin6_addr) == 1) return {v6};
  int error = 0;
  // An address with a percent sign names an interface, and getaddrinfo() knows its number.
  return host.find('%') == std::string::npos ? std::vector<Endpoint>{}
                                             : endpoints_of(host, port, AI_NUMERICHOST, error);
}

}  // namespace mirakuru::detail
