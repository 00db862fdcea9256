// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <array>
#include <chrono>
#include <string>
#include <string_view>

#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/os/unique_fd.hpp>

// The place where the programs of one user meet to share a service: no file, a few names in the
// abstract name space. One bind succeeds, so the kernel chooses the one that starts the service.

namespace mirakuru::detail {

/// Finds the listener that programs of one user share by a name, or becomes it.
class Rendezvous {
 public:
  enum class Role {
    joined,     ///< `socket` is connected to the listener; end of file if that one has given way
    starter,    ///< `socket` listens: no other program of this user does
    undecided,  ///< another program is about to decide it: attempt again after a short pause
    refused,    ///< each address belongs to another user
  };
  struct Outcome {
    Role role;
    UniqueFd socket{};
  };
  /// A squatter can take an address; it has to take all of them to keep this user out.
  static constexpr int addresses = 16;
  /// How long an address may be bound and not listen before the next one is tried.
  static constexpr std::chrono::milliseconds patience{100};

  /// `name` and `scope` may hold any bytes; both count.
  Rendezvous(std::string_view name, std::string_view scope);

  /// The address with the number `n`, from 0 to `addresses` - 1, as `SocketPath` takes it. Another
  /// user has other ones, and so has another network name space.
  [[nodiscard]] std::string address(int n) const;

  /// Never blocks. The sockets are SOCK_SEQPACKET, close-on-exec and non-blocking. Throws
  /// `std::system_error`. Source: unix(7), SO_PEERCRED.
  [[nodiscard]] Outcome attempt(TimePoint now);

 private:
  enum class Peer { mine, foreign, none, busy };
  Peer reach(int n, UniqueFd& connection) const;
  [[nodiscard]] Outcome first_or_other(int own, UniqueFd listener) const;

  uid_t user_;
  std::string prefix_;
  std::array<TimePoint, addresses> silent_since_{};
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/net/rendezvous.ipp>
#endif
