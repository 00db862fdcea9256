// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <optional>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/unique_fd.hpp>

struct sockaddr;

namespace mirakuru::detail {

/// The kernel's table of the TCP ports that somebody listens on. To ask it costs an eighth of a
/// connection that is refused, and no service notices. What it does not know is where packet
/// filters and the like lead a connection to.
///
/// Rests on sock_diag(7), for which the first question may have the kernel load a module. Where
/// that cannot be had, nothing is known.
class Listeners {
 public:
  /// True when it is known that nobody listens at this address, which is one of loopback.
  [[nodiscard]] bool none_at(const sockaddr* address);
  /// Closes its descriptor. False if there is none.
  bool close() noexcept;

 private:
  void open();

  std::optional<UniqueFd> socket_;  // without a descriptor: it cannot be had
  std::uint32_t asked_ = 0;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/net/listeners.ipp>
#endif
