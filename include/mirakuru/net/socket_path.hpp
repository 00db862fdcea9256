// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <string>

#include <mirakuru/os/config.hpp>

namespace mirakuru {

namespace detail {
struct Endpoint;
}

/// The address of a Unix socket: a path, or `@` and a name for one in Linux's abstract name space.
/// Throws `std::invalid_argument` for an empty one, and for more than 107 bytes, not counting the
/// `@`. Source: unix(7).
class SocketPath {
 public:
  SocketPath(std::string path);
  /// From a literal or a `std::filesystem::path`, for example.
  template <std::convertible_to<std::string> Text>
  SocketPath(const Text& path) : SocketPath{static_cast<std::string>(path)} {}

  [[nodiscard]] const std::string& str() const noexcept { return path_; }
  [[nodiscard]] bool abstract() const noexcept { return path_[0] == '@'; }
  /// As system calls take it.
  [[nodiscard]] detail::Endpoint endpoint() const noexcept;

 private:
  std::string path_;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/net/socket_path.ipp>
#endif
