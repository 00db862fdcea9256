// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include <mirakuru/os/ascii.hpp>
#include <mirakuru/os/config.hpp>

namespace mirakuru {

/// A host: an IPv4 address, an IPv6 address with or without brackets, or a name.
///
/// `localhost` means 127.0.0.1 and ::1, and needs no resolver. It may be in any case, and may end
/// with a dot. A name has letters, digits, `_`, `-` and characters beyond ASCII between its dots.
class Host {
 public:
  /// The machine that the command runs on: `spawned_host`.
  struct Spawned {};
  Host(Spawned) : name_{spawned_name} {}

  /// Throws `std::invalid_argument` for a text that is neither an address nor a possible name.
  Host(std::string name);
  Host(const char* name) : Host{std::string{name}} {}

  operator const std::string&() const noexcept { return name_; }
  /// The address or the name, without brackets.
  [[nodiscard]] const std::string& str() const noexcept { return name_; }
  [[nodiscard]] bool is_spawned() const noexcept { return name_ == spawned_name; }

 private:
  static constexpr char spawned_name[] = "the spawned host";  // no name that a resolver may know

  std::string name_;
};

/// The machine that a launcher runs the command on, such as the node of a Slurm job. It is known
/// once the command runs. Without a launcher it is 127.0.0.1.
inline constexpr Host::Spawned spawned_host{};

/// A TCP port, 1 to 65535. In a check 0 is the port that the service has chosen.
class Port {
 public:
  /// Throws `std::invalid_argument` for a number outside 0 to 65535.
  template <std::integral Number>
    requires(!std::same_as<Number, bool>)
  Port(Number number) : number_{checked(static_cast<long long>(number))} {}

  operator std::uint16_t() const noexcept { return number_; }

 private:
  static std::uint16_t checked(long long number);

  std::uint16_t number_;
};

namespace detail {

/// True for `localhost`. Source: RFC 6761, 6.3.
[[nodiscard]] constexpr bool is_localhost(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  return equal_but_for_case(host, "localhost");
}

/// "host:port", with an IPv6 address in brackets.
[[nodiscard]] std::string authority(const std::string& host, std::uint16_t port);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/net/address.ipp>
#endif
