// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <optional>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/unique_fd.hpp>

struct sockaddr;

namespace mirakuru::detail {

/// The kernel's table of listening TCP ports. A question costs an eighth of a refused connection,
/// and no service notices it. The table does not see redirection by packet filters.
///
/// Rests on sock_diag(7); the first question may make the kernel load its module. If the table is
/// not available, nothing is known.
class Listeners {
 public:
  /// True if certainly nobody listens at this address. False for an address outside loopback.
  [[nodiscard]] bool none_at(const sockaddr* address);
  /// Closes the descriptor for good. False if there is none.
  bool close() noexcept;

 private:
  void open();

  std::optional<UniqueFd> socket_;  // -1 inside: the table is not available
  std::uint32_t asked_ = 0;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/net/listeners.ipp>
#endif
