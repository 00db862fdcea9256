// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>

#include <mirakuru/net/socket_path.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/ready/http/request.hpp>
#include <mirakuru/ready/net/tcp.hpp>
#include <mirakuru/ready/probe.hpp>
#include <mirakuru/text/line_matcher.hpp>

namespace mirakuru {

/// Ready when the URL answers with the status, and with a line in its body if one is asked for.
///
/// `url`: port 0 is the port that the service has chosen. `method`: if none is given, HEAD, or GET
/// with a `body`; GET also follows where HEAD is answered with 405 or 501. `body`: an expression
/// for a line of the body, as for `BannerCheck`; the last line needs no end. The first MiB is
/// searched as it comes, chunked too; a compressed body is not unpacked. `socket`: a Unix socket in
/// place of the URL's host and port. `may_be_there`: what answers before the start is no
/// `AlreadyRunning`. `owned`: as for `TCPCheck`.
///
/// Redirects are not followed. Each attempt has a connection of its own and a time limit, even if
/// the server hangs. A listener that accepts on the URL's port before the start is
/// `AlreadyRunning`.
///
/// Source: RFC 9110, RFC 9112. Rests on a non-blocking `connect`; llhttp parses the answer.
struct HTTPCheck {
  URL url;
  StatusPattern status = {};
  std::optional<Method> method = {};
  Payload payload = {};
  Headers headers = {};
  std::optional<LineMatcher> body = {};
  std::optional<SocketPath> socket = {};
  bool may_be_there = false;
  bool owned = true;

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const;
  /// Says that the port is taken, and by which process if /proc shows it.
  [[nodiscard]] std::string describe_conflict() const;
  /// Asked after a time-out: the ports that the tree listens on.
  [[nodiscard]] std::string hint(const Process& process) const;
  /// Asked before the start: a connection. Null with `may_be_there`, and for port 0.
  [[nodiscard]] std::unique_ptr<Probe> precheck() const;
  /// Asked after the spawn. Throws `std::invalid_argument` for a body in answer to HEAD.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const;

  /// The port that must be open before the URL can answer. Throws `std::invalid_argument` for a
  /// check of a Unix socket.
  operator TCPCheck() const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/http/http.ipp>
#endif
