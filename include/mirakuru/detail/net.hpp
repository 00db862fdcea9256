// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/socket.h>
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/system_error.hpp>

#include <mirakuru/detail/asio.hpp>
#include <mirakuru/detail/unique_fd.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/process.hpp>

// What the checks on TCP share. Only impl/ includes this.

namespace mirakuru::detail {

/// The endpoints of a host. An address and `localhost` need no look-up; any other name is resolved
/// by Asio, in a thread. None, and `error` says why, if the name is not known. Each attempt begins
/// with another one, so that a mute one does not take the time of all.
inline asio::awaitable<std::vector<asio::ip::tcp::endpoint>> endpoints(const std::string& host,
                                                                       std::uint16_t port,
                                                                       std::size_t attempt,
                                                                       asio::error_code& error) {
  using asio::ip::tcp;
  std::vector<tcp::endpoint> result;
  asio::error_code not_an_address;
  const auto address = asio::ip::make_address(host, not_an_address);
  if (!not_an_address) {
    result.emplace_back(address, port);
  } else if (host == "localhost") {
    result.emplace_back(asio::ip::address_v4::loopback(), port);
    result.emplace_back(asio::ip::address_v6::loopback(), port);
  } else {
    tcp::resolver resolver{co_await asio::this_coro::executor};
    for (const auto& entry : co_await resolver.async_resolve(
             host, std::to_string(port), asio::redirect_error(asio::use_awaitable, error)))
      result.push_back(entry.endpoint());
  }
  if (!result.empty())
    std::rotate(result.begin(),
                result.begin() + static_cast<std::ptrdiff_t>(attempt % result.size()),
                result.end());
  co_return result;
}

/// What an attempt has come to that failed with `error`. One that was called off has no outcome.
inline Readiness failed(const asio::error_code& error) {
  if (error == asio::error::operation_aborted) throw asio::system_error{error};
  return not_ready(reason_text(error));
}

/// Connects the socket, or says in `error` why not.
inline asio::awaitable<void> connect(asio::ip::tcp::socket& socket,
                                     const asio::ip::tcp::endpoint& endpoint,
                                     asio::error_code& error) {
  // Asio's own sockets are not close-on-exec.
  const auto protocol = endpoint.protocol();
  UniqueFd fd{::socket(protocol.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd)
    error = asio::error_code{errno, asio::error::get_system_category()};
  else if (!socket.assign(protocol, fd.get(), error))
    static_cast<void>(fd.release());
  if (error) co_return;
  co_await socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return;
  // A connection to a port in the ephemeral range where nobody listens can meet itself.
  asio::error_code ignored;
  if (socket.local_endpoint(ignored) == endpoint) error = asio::error::connection_refused;
}

}  // namespace mirakuru::detail
