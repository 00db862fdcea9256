// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <mirakuru/net/address.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/ready/probe.hpp>

namespace mirakuru {

/// Ready when a process of the tree listens on a TCP port: `ListenCheck{}` for any,
/// `ListenCheck{.port = 8080}` for this one. Nothing connects to it.
///
/// `host`: only sockets that take connections to this address count; a name other than `localhost`
/// is no address, and any socket counts. `port`: 0 is any; `port()` of the executor then tells it,
/// if it is the only one.
///
/// With a given port a listener before the start is `AlreadyRunning`. Where /proc hides the
/// descriptors of the tree, a given port is ready with a note in the timeline, unless others are
/// known to hold it; port 0 is not ready. It is asked after pauses that adapt. Rests on
/// sock_diag(7), /proc/PID/fd, and /proc/PID/net/tcp for a tree in another network namespace.
struct ListenCheck {
  static constexpr bool looks_here = true;

  std::optional<Host> host = {};
  Port port = 0;

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const;
  /// True if anybody listens on the given port before the start.
  [[nodiscard]] bool already_true() const;
  /// Says that the port is taken, and by which process if /proc shows it.
  [[nodiscard]] std::string describe_conflict() const;
  /// Asked after a time-out: the ports that the tree listens on.
  [[nodiscard]] std::string hint(const Process& process) const;
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/net/listen.ipp>
#endif
