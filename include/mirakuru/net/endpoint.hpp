// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/socket.h>
#include <cstdint>
#include <string>
#include <vector>

#include <mirakuru/os/config.hpp>

namespace mirakuru::detail {

/// The address of a TCP port.
struct Endpoint {
  sockaddr_storage address = {};
  socklen_t size = 0;

  [[nodiscard]] const sockaddr* data() const noexcept {
    return reinterpret_cast<const sockaddr*>(&address);
  }
  /// True for the same host and port.
  [[nodiscard]] bool operator==(const Endpoint& other) const noexcept;
};

/// Looks up the endpoints of a host. `error` is the result of getaddrinfo(3), `flags` are its
/// `ai_flags`.
[[nodiscard]] std::vector<Endpoint> endpoints_of(const std::string& host, std::uint16_t port,
                                                 int flags, int& error);

/// The endpoints of an address or of `localhost`, which need no look-up; none for any other name.
[[nodiscard]] std::vector<Endpoint> known_endpoints(const std::string& host, std::uint16_t port);

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/net/endpoint.ipp>
#endif
