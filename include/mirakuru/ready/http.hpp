// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include <mirakuru/os/config.hpp>
#include <mirakuru/ready/http_request.hpp>
#include <mirakuru/ready/tcp.hpp>

namespace mirakuru {

/// Ready when the URL answers with the status.
///
/// The status line and the headers count; the body is not waited for. Redirects are not followed.
/// Each attempt has a connection of its own and a time limit, whatever the server does. Something
/// that accepts on the URL's port before the start is `AlreadyRunning`. Source: RFC 9110, RFC 9112;
/// the answer is parsed by llhttp.
struct HTTPCheck {
  URL url;
  StatusPattern status = {};
  Method method = "HEAD";
  Payload payload = {};
  Headers headers = {};

  /// What is waited for, as an executor's messages say it.
  [[nodiscard]] std::string describe() const;
  /// That the port answers, and whose it is where /proc tells.
  [[nodiscard]] std::string describe_conflict() const {
    return static_cast<TCPCheck>(*this).describe_conflict();
  }

  /// The port that must be open before the URL can answer.
  operator TCPCheck() const { return {url.host(), url.port()}; }
};

namespace detail {

/// Enters one attempt of the check into `race`.
Entry enter(Race& race, const HTTPCheck* check, const Process& process);
/// Enters a look at the port, before the start.
Entry enter_look(Race& race, const HTTPCheck* check);
/// The whole request.
[[nodiscard]] std::string request_text(const HTTPCheck& check);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/http.ipp>
#endif
