// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include <mirakuru/engine/loop.hpp>
#include <mirakuru/net/address.hpp>
#include <mirakuru/os/config.hpp>

namespace mirakuru {

class Process;

/// Ready when a TCP port accepts a connection, which is then closed.
///
/// Something that accepts before the start is `AlreadyRunning`. A name is looked up anew for each
/// attempt, in a thread that a deadline leaves to the resolver's own; of several addresses any will
/// do. At loopback an attempt that follows a refusal connects only if the kernel knows somebody who
/// listens, but each seventh does in any case: whom packet filters or namespaces hide is found that
/// way, an eighth of the time waited later at most, or 4 ms. Rests on a non-blocking `connect`,
/// sock_diag(7) and getaddrinfo(3).
struct TCPCheck {
  Host host;
  Port port;

  /// What is waited for, as an executor's messages say it.
  [[nodiscard]] std::string describe() const;
  /// That the port answers, and whose it is where /proc tells.
  [[nodiscard]] std::string describe_conflict() const;
};

namespace detail {

/// Enters one attempt of the check into `race`. By pointer: nothing converts to it, and the check
/// stays where it is as long as the attempt lasts.
Entry enter(Race& race, const TCPCheck* check, const Process& process);
/// The same before the start.
Entry enter_look(Race& race, const TCPCheck* check);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/tcp.ipp>
#endif
