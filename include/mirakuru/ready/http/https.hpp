// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <mirakuru/net/socket_path.hpp>
#include <mirakuru/os/file_name.hpp>
#include <mirakuru/ready/http/exchange.hpp>
#include <mirakuru/ready/http/request.hpp>
#include <mirakuru/ready/http/tls_stream.hpp>
#include <mirakuru/ready/net/tcp.hpp>
#include <mirakuru/ready/net/unix_socket.hpp>
#include <mirakuru/ready/probe.hpp>
#include <mirakuru/text/line_matcher.hpp>

namespace mirakuru {

/// An `https` URL: `https://host[:port][/path][?query]`; the port is 443 if none is given. Throws
/// `std::invalid_argument` as `URL` does.
class HTTPSURL : private URL {
 public:
  HTTPSURL(const std::string& text) : URL{text, "https", 443} {}
  HTTPSURL(const char* text) : HTTPSURL{std::string{text}} {}
  HTTPSURL(Host::Spawned host, Port port, const std::string& path = "/")
      : URL{host, port, path, "https"} {}

  using URL::host;
  using URL::port;
  using URL::target;
  using URL::text;

 private:
  friend struct detail::Exchange;  // no HTTPCheck takes it for a URL of its own
};

/// Ready when the URL answers over TLS 1.2 or 1.3; otherwise as `HTTPCheck`.
///
/// `ca_file`: certificates of authorities in PEM form; none: those of the system. It may come later
/// than the start, and is read again when it has changed. `verify`: false takes any certificate.
/// `certificate` and `key`: the client's own, in PEM form; the key may be in the certificate's
/// file. `server_name`: the name that is asked for (SNI) and verified; none: the URL's host. An
/// address is verified, and not asked for.
///
/// A failed verification is the reason of a time-out. Rests on OpenSSL. Source: RFC 9110, 4.2.2 and
/// 4.3.4; RFC 6066, 3.
struct HTTPSCheck {
  HTTPSURL url;
  StatusPattern status = {};
  std::optional<Method> method = {};
  Payload payload = {};
  Headers headers = {};
  std::optional<LineMatcher> body = {};
  std::optional<FileName> ca_file = {};
  bool verify = true;
  std::optional<FileName> certificate = {}, key = {};
  std::optional<Host> server_name = {};
  std::optional<SocketPath> socket = {};
  bool may_be_there = false;
  bool owned = true;

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const {
    return detail::Exchange::of(*this).describe() + (socket ? " at " + socket->str() : "");
  }
  /// Says that the port is taken, and by which process if /proc shows it.
  [[nodiscard]] std::string describe_conflict() const {
    if (socket) return UnixSocketCheck{*socket}.describe_conflict();
    return static_cast<TCPCheck>(*this).describe_conflict();
  }
  /// Asked after a time-out: the ports that the tree listens on.
  [[nodiscard]] std::string hint(const Process& process) const {
    return socket ? "" : static_cast<TCPCheck>(*this).hint(process);
  }
  /// Asked before the start: a connection. Null with `may_be_there`, and for port 0.
  [[nodiscard]] std::unique_ptr<Probe> precheck() const {
    if (!socket) return static_cast<TCPCheck>(*this).precheck();
    if (may_be_there) return nullptr;
    return std::make_unique<detail::ConnectProbe>(detail::Target{.socket = socket});
  }
  /// Asked after the spawn. Throws `std::invalid_argument` for a body in answer to HEAD.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const {
    detail::TLSOptions options{
        .verify = verify,
        .server_name = detail::name_of_host(server_name ? *server_name : url.host(), process)};
    if (ca_file) options.ca_file = ca_file->str();
    if (certificate) options.certificate = options.key = certificate->str();
    if (key) options.key = key->str();
    return std::make_unique<detail::HTTPProbe<detail::TLSStream>>(
        detail::Exchange::of(*this),
        detail::Target{.host = detail::name_of_host(url.host(), process),
                       .port = url.port(),
                       .socket = socket,
                       .owned = owned && !may_be_there},
        process, detail::TLSStream{std::move(options)});
  }

  /// The port that must be open before the URL can answer. Throws `std::invalid_argument` for a
  /// check of a Unix socket.
  operator TCPCheck() const {
    if (socket)
      throw std::invalid_argument{"the HTTPS check of " + socket->str() +
                                  " has no TCP port; give it to an executor without TCPCheck"};
    return {.host = url.host(), .port = url.port(), .owned = owned, .may_be_there = may_be_there};
  }
};

}  // namespace mirakuru
