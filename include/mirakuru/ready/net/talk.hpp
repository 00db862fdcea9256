// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <mirakuru/net/address.hpp>
#include <mirakuru/net/socket_path.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/ready/probe.hpp>
#include <mirakuru/text/line_matcher.hpp>

namespace mirakuru {

/// Ready when a server answers as it should:
/// `TalkCheck{.host = "127.0.0.1", .port = 6379, .send = "PING\r\n", .expect = "^\\+PONG"}`.
///
/// Each attempt has a connection of its own and a time limit, even if the server hangs. An answer
/// that does not match is over 50 ms after its last line, or an eighth of the time waited; at most
/// 64 KiB of it count. A last line without an end counts, too.
///
/// Who accepts on the port or the socket before the start is `AlreadyRunning`. Over UDP that takes
/// an answer that matches. A datagram that is lost is sent anew by the next attempt.
///
/// Rests on a non-blocking `connect`, on inotify for the path of a socket, and over UDP on the
/// refusals of ICMP.
struct TalkCheck {
  Host host = "127.0.0.1";
  /// The port; none for a `socket`. Both, and neither, are `std::invalid_argument` at the start. 0:
  /// the TCP port that the service has chosen.
  std::optional<Port> port = {};
  /// Sent after the connection; empty if the server speaks first.
  std::string send = {};
  /// A line of the answer; none: any byte will do.
  std::optional<LineMatcher> expect = {};
  /// A Unix stream socket in place of the port.
  std::optional<SocketPath> socket = {};
  /// Over UDP: `send` is one datagram, and each datagram of the answer begins a line.
  bool udp = false;
  /// The TCP listener must be one of the service's.
  bool owned = true;
  /// True: an answer before the start is no `AlreadyRunning`.
  bool may_be_there = false;

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const;
  /// Says that the port is taken, and by which process if /proc shows it.
  [[nodiscard]] std::string describe_conflict() const;
  /// Asked after a time-out: the TCP ports that the tree listens on.
  [[nodiscard]] std::string hint(const Process& process) const;
  /// Asked before the start.
  [[nodiscard]] std::unique_ptr<Probe> precheck() const;
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/net/talk.ipp>
#endif
