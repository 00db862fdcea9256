// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <cstdint>
#include <string>

#include <mirakuru/os/config.hpp>

namespace mirakuru {

/// A host: an IPv4 or IPv6 address (with or without brackets), or a name.
///
/// `localhost` is every address that it has, 127.0.0.1 and ::1, without asking a resolver.
/// Throws `std::invalid_argument` for what can be neither.
class Host {
 public:
  Host(std::string name);
  Host(const char* name) : Host{std::string{name}} {}

  operator const std::string&() const noexcept { return name_; }
  [[nodiscard]] const std::string& str() const noexcept { return name_; }

 private:
  std::string name_;
};

/// A port, 1 to 65535. Throws `std::invalid_argument` for any other number.
class Port {
 public:
  template <std::integral Number>
    requires(!std::same_as<Number, bool>)
  Port(Number number) : number_{checked(static_cast<long long>(number))} {}

  operator std::uint16_t() const noexcept { return number_; }

 private:
  static std::uint16_t checked(long long number);

  std::uint16_t number_;
};

namespace detail {

/// "host:port", an IPv6 address in brackets.
[[nodiscard]] std::string authority(const std::string& host, std::uint16_t port);

/// Who listens on this local TCP port, as "pid 42 (nginx -p /tmp)"; empty where /proc does not
/// tell, as for another user's process. Reads /proc/net/tcp, /proc/net/tcp6 and /proc/*/fd.
[[nodiscard]] std::string who_listens(const std::string& host, std::uint16_t port);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/net/address.ipp>
#endif
