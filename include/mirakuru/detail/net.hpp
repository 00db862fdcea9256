// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/system_error.hpp>

#include <mirakuru/detail/asio.hpp>
#include <mirakuru/detail/race_core.hpp>
#include <mirakuru/detail/unique_fd.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/process.hpp>

// What the checks on TCP share. Only impl/ includes this.

namespace mirakuru::detail {

using Endpoint = asio::ip::tcp::endpoint;

/// The endpoints of an address and of `localhost`, which need no look-up; none of any other name.
/// Each attempt begins with another one, so that a mute one does not take the time of all.
inline std::vector<Endpoint> known_endpoints(const std::string& host, std::uint16_t port,
                                             std::size_t attempt) {
  asio::error_code not_an_address;
  const auto address = asio::ip::make_address(host, not_an_address);
  if (!not_an_address) return {{address, port}};
  if (host != "localhost") return {};
  std::vector<Endpoint> both{{asio::ip::address_v4::loopback(), port},
                             {asio::ip::address_v6::loopback(), port}};
  if (attempt % 2 != 0) std::swap(both[0], both[1]);
  return both;
}

/// The endpoints of a name, by Asio's resolver, which has a thread for it. None, and `error` says
/// why, if it is not known.
inline asio::awaitable<std::vector<Endpoint>> resolve(const std::string& host, std::uint16_t port,
                                                      std::size_t attempt,
                                                      asio::error_code& error) {
  asio::ip::tcp::resolver resolver{co_await asio::this_coro::executor};
  std::vector<Endpoint> result;
  for (const auto& entry : co_await resolver.async_resolve(
           host, std::to_string(port), asio::redirect_error(asio::use_awaitable, error)))
    result.push_back(entry.endpoint());
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

/// A connection, or one that is being made.
struct Connection {
  Endpoint endpoint;
  UniqueFd socket;
  int error;  // 0: it is made; EINPROGRESS: that is not known yet
};

/// What has come of a connection that is not in progress any more.
inline int outcome(int socket, const Endpoint& endpoint) {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  // A connection to a port in the ephemeral range where nobody listens can meet itself.
  Endpoint own;
  size = static_cast<socklen_t>(own.capacity());
  const bool known = ::getsockname(socket, own.data(), &size) == 0;
  return error == 0 && known && own == endpoint ? ECONNREFUSED : error;
}

/// Begins to connect, which on this machine succeeds or fails at once. Not by Asio, whose sockets
/// are not close-on-exec.
inline Connection begin_to_connect(const Endpoint& endpoint) {
  constexpr int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  UniqueFd socket{::socket(endpoint.protocol().family(), type, 0)};
  const auto size = static_cast<socklen_t>(endpoint.size());
  if (!socket || (::connect(socket.get(), endpoint.data(), size) != 0 && errno != EINPROGRESS))
    return {endpoint, std::move(socket), errno};
  pollfd event{.fd = socket.get(), .events = POLLOUT, .revents = 0};
  const bool known = ::poll(&event, 1, 0) == 1;
  const int error = known ? outcome(socket.get(), endpoint) : EINPROGRESS;
  return {endpoint, std::move(socket), error};
}

/// The same with the first of the endpoints that does not refuse at once, or else the last. Takes
/// it off the list, and those before it.
inline Connection begin_to_connect(std::vector<Endpoint>& endpoints) {
  for (;;) {
    auto connection = begin_to_connect(endpoints.front());
    endpoints.erase(endpoints.begin());
    if (connection.error == 0 || connection.error == EINPROGRESS || endpoints.empty())
      return connection;
  }
}

inline asio::error_code system_error_code(int number) {
  return {number, asio::error::get_system_category()};
}

/// Waits for what comes of a connection, and puts it into `socket`; `error` says why not.
inline asio::awaitable<void> finish_connecting(Connection& connection,
                                               asio::ip::tcp::socket& socket,
                                               asio::error_code& error) {
  error = {};
  if (connection.error == 0 || connection.error == EINPROGRESS) {
    socket.assign(connection.endpoint.protocol(), connection.socket.get(), error);
    if (error) co_return;
    static_cast<void>(connection.socket.release());
  }
  if (connection.error == EINPROGRESS) {
    co_await socket.async_wait(asio::ip::tcp::socket::wait_write,
                               asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    connection.error = outcome(socket.native_handle(), connection.endpoint);
  }
  error = system_error_code(connection.error);
}

/// What is an answer without a wait.
inline std::optional<Readiness> refused_at_once(const Connection& connection) {
  if (connection.error == 0 || connection.error == EINPROGRESS) return {};
  return not_ready(reason_text(system_error_code(connection.error)));
}

template <class Inquiry>
asio::awaitable<Readiness> look_up_and_inquire(std::string host, std::uint16_t port,
                                               std::size_t number, Inquiry inquiry) {
  asio::error_code error;
  auto endpoints = co_await resolve(host, port, number, error);
  if (endpoints.empty()) co_return failed(error);
  auto first = begin_to_connect(endpoints);
  co_return co_await Inquiry::begin(inquiry, std::move(first), std::move(endpoints));
}

/// Enters an attempt that begins with a connection. `inquiry.at_once(connection)` may answer right
/// away; else `Inquiry::begin(inquiry, connection, other_endpoints)` is what is waited for.
template <class Inquiry>
Entry enter_inquiry(Race& race, const std::string& host, std::uint16_t port, Inquiry inquiry) {
  const auto number = race.count_attempt();
  auto endpoints = known_endpoints(host, port, number);
  if (endpoints.empty()) {
    race.core().enter(look_up_and_inquire(host, port, number, inquiry));
    return Attempt::limited;
  }
  auto first = begin_to_connect(endpoints);
  if (auto answer = inquiry.at_once(first)) return *std::move(answer);
  race.core().enter(Inquiry::begin(inquiry, std::move(first), std::move(endpoints)));
  return Attempt::limited;
}

}  // namespace mirakuru::detail
