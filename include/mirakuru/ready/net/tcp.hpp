// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/net/address.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/ready/probe.hpp>

namespace mirakuru {

/// Ready when a TCP port accepts a connection, which is then closed.
///
/// `host`: of several addresses any will do. A name is looked up anew for each attempt, in a thread
/// that the deadline does not wait for.
///
/// `port`: 0 is the port that the service has chosen, one that its tree listens on at the host's
/// addresses, or at any address for a name other than `localhost`. `port()` of the executor tells
/// it.
///
/// `owned`: the start fails at once if all sockets that listen there belong to processes outside
/// the tree, other than this one. Needs a spawner with a guardian, and an address of this machine.
/// Where the owner cannot be told, the check is ready with a note in the timeline: another user's
/// processes, packet filters, another network namespace. False: anybody may listen, as a daemon
/// does for `docker run`.
///
/// `may_be_there`: a listener that accepts before the start is no `AlreadyRunning`, and anybody may
/// listen.
///
/// On loopback, after a refused connection, the check first asks the kernel (sock_diag) whether
/// anything listens. Every seventh attempt connects regardless, to find listeners that packet
/// filters or namespaces hide: an eighth of the time waited later at most, or 4 ms.
///
/// Rests on a non-blocking `connect`, sock_diag(7), /proc/PID/fd and getaddrinfo(3).
struct TCPCheck {
  Host host = "127.0.0.1";
  Port port;
  bool owned = true;
  bool may_be_there = false;

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const;
  /// Says that the port is taken, and by which process if /proc shows it.
  [[nodiscard]] std::string describe_conflict() const;
  /// Asked after a time-out: the ports that the tree listens on.
  [[nodiscard]] std::string hint(const Process& process) const;
  /// Asked before the start; null for port 0 and with `may_be_there`.
  [[nodiscard]] std::unique_ptr<Probe> precheck() const;
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/net/tcp.ipp>
#endif
