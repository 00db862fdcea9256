// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/socket.h>
#include <cstdint>
#include <string>
#include <vector>

#include <mirakuru/os/config.hpp>

namespace mirakuru::detail {

/// An IPv4 or IPv6 address with a TCP port, as system calls take it.
struct Endpoint {
  sockaddr_storage address = {};
  socklen_t size = 0;

  [[nodiscard]] const sockaddr* data() const noexcept {
    return reinterpret_cast<const sockaddr*>(&address);
  }
  /// True for the same address and port.
  [[nodiscard]] bool operator==(const Endpoint& other) const noexcept;
};

/// Looks up the endpoints of a host, and waits for the resolver. `flags` go into `ai_flags`, and
/// `error` gets the result, 0 or an `EAI_` number. Rests on `getaddrinfo`.
[[nodiscard]] std::vector<Endpoint> endpoints_of(const std::string& host, std::uint16_t port,
                                                 int flags, int& error);

/// The endpoints of an address or of `localhost`, without a resolver. Empty for any other name.
[[nodiscard]] std::vector<Endpoint> known_endpoints(const std::string& host, std::uint16_t port);

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/net/endpoint.ipp>
#endif
