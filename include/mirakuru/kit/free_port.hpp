// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include <mirakuru/net/address.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru {

/// A TCP and UDP port that is reserved among all users of this library on the machine, for as long
/// as the object lives: `FreePort ports[3];`.
///
/// It lies outside the range from which the kernel hands out ports, so no `bind` to port 0 and no
/// outgoing connection takes it. Nothing listens on it and no socket is bound to it, so a server
/// without any socket option can. The reservation is an abstract Unix socket, which goes when the
/// holder ends in any way. A program that has not this library may still choose the same number.
///
/// Where the kernel's range leaves no port, the port is of that range. It is then bound, never
/// listening, with SO_REUSEADDR, and a server without that option cannot take it.
///
/// It is a word of a command, a `Port`, an integer, and prints. Source: ip(7),
/// `ip_local_port_range`.
class FreePort {
 public:
  /// Throws `std::system_error` if no port is free.
  FreePort();

  /// The number.
  [[nodiscard]] std::uint16_t number() const noexcept { return number_; }
  operator std::uint16_t() const noexcept { return number_; }
  operator Port() const { return Port{number_}; }
  /// The number as text.
  [[nodiscard]] std::string str() const { return std::to_string(number_); }
  /// "http://127.0.0.1:PORT" and the path.
  [[nodiscard]] std::string url(const std::string& path = "/") const {
    return "http://127.0.0.1:" + str() + (path.starts_with('/') ? path : '/' + path);
  }

  template <class Traits>
  friend std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& out,
                                                      const FreePort& port) {
    return out << port.str().c_str();
  }

 private:
  std::uint16_t number_ = 0;
  detail::UniqueFd lock_;
  detail::UniqueFd held_[2];  // of the kernel's range only
};

namespace detail {

/// Ports from `first` to `last`.
struct PortRange {
  int first, last;
};
/// The ports that the kernel hands out to nobody, by the texts of `ip_local_port_range` and
/// `ip_local_reserved_ports`. Those below 10,000 are left out if there are others.
[[nodiscard]] std::vector<PortRange> ports_outside(const std::string& local,
                                                   const std::string& reserved);
/// Reserves a number among the users of this library in this network namespace. None if somebody
/// has it.
[[nodiscard]] UniqueFd lock_port(int port);
/// True if a server without socket options can take the port now, on each address.
[[nodiscard]] bool is_free(int port);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/kit/free_port.ipp>
#endif
