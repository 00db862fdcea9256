// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>

#include <mirakuru/net/socket_path.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/ready/probe.hpp>

namespace mirakuru {

/// Ready when a Unix socket of any type accepts a connection, which is then closed.
///
/// A stream or seqpacket socket that is bound and does not listen is not ready. A datagram socket
/// is ready when it is bound; nothing is sent to it. A socket file that a server has left behind is
/// neither ready nor `AlreadyRunning`. Rests on a non-blocking `connect`, and on inotify for the
/// path and the target of a symbolic link.
struct UnixSocketCheck {
  static constexpr bool looks_here = true;

  SocketPath path;

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const { return "a connection to " + path.str(); }
  /// True when the socket accepts connections before the start.
  [[nodiscard]] bool already_true() const;
  /// Says that the socket answers, and which process holds it.
  [[nodiscard]] std::string describe_conflict() const;
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/net/unix_socket.ipp>
#endif
