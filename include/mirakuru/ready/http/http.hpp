// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/os/config.hpp>
#include <mirakuru/ready/http/request.hpp>
#include <mirakuru/ready/net/tcp.hpp>
#include <mirakuru/ready/probe.hpp>

namespace mirakuru {

/// Ready when the URL answers with the status.
///
/// The status line and the headers count; the body is not waited for. Redirects are not followed.
/// Each attempt has a connection of its own and a time limit, even if the server hangs. A listener
/// that accepts on the URL's port before the start is `AlreadyRunning`.
///
/// Source: RFC 9110, RFC 9112. Rests on a non-blocking `connect`; llhttp parses the answer.
struct HTTPCheck {
  URL url;
  StatusPattern status = {};
  Method method = "HEAD";
  Payload payload = {};
  Headers headers = {};

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const { return method.str() + ' ' + url.text(); }
  /// Says that the port is taken, and by which process if /proc shows it.
  [[nodiscard]] std::string describe_conflict() const {
    return static_cast<TCPCheck>(*this).describe_conflict();
  }
  /// Asked after a time-out: the ports that the tree listens on.
  [[nodiscard]] std::string hint(const Process& process) const {
    return static_cast<TCPCheck>(*this).hint(process);
  }
  /// Asked before the start: a connection to the port.
  [[nodiscard]] std::unique_ptr<Probe> precheck() const {
    return static_cast<TCPCheck>(*this).precheck();
  }
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const;

  /// The port that must be open before the URL can answer.
  operator TCPCheck() const { return {url.host(), url.port()}; }
};

namespace detail {

/// The whole request.
[[nodiscard]] std::string request_text(const HTTPCheck& check);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/http/http.ipp>
#endif
