// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/net/address.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/ready/probe.hpp>

namespace mirakuru {

/// Ready when a TCP port accepts a connection, which is then closed.
///
/// A listener that accepts before the start is `AlreadyRunning`. Of several addresses of the host
/// any will do. A name is looked up anew for each attempt, in a thread that the deadline does not
/// wait for. On loopback, after a refused connection, the check first asks the kernel (sock_diag)
/// whether anything listens. Every seventh attempt connects regardless, to find listeners that
/// packet filters or namespaces hide: an eighth of the time waited later at most, or 4 ms.
///
/// Rests on a non-blocking `connect`, sock_diag(7) and getaddrinfo(3).
struct TCPCheck {
  Host host;
  Port port;
  bool owned = true;
  bool may_be_there = false;

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const;
  /// Says that the port is taken, and by which process if /proc shows it.
  [[nodiscard]] std::string describe_conflict() const;
  /// Asked after a time-out: the ports that the tree listens on.
  [[nodiscard]] std::string hint(const Process& process) const;
  /// Asked before the start.
  [[nodiscard]] std::unique_ptr<Probe> precheck() const;
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/net/tcp.ipp>
#endif
