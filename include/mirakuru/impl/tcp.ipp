// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/detail/net.hpp>
#include <mirakuru/detail/race_core.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/ready/tcp.hpp>

namespace mirakuru {

MIRAKURU_DECL std::string TCPCheck::describe() const {
  return "a connection to " + detail::authority(host, port);
}

MIRAKURU_DECL std::string TCPCheck::describe_holder() const {
  const auto who = detail::who_listens(host, port);
  return detail::authority(host, port) + " answers" + (who.empty() ? "" : ", held by " + who);
}

namespace detail {

/// Ready with the first connection.
struct ConnectionInquiry {
  [[nodiscard]] std::optional<Readiness> at_once(const Connection& connection) const {
    return connection.error == 0 ? Readiness{true} : refused_at_once(connection);
  }
  static asio::awaitable<Readiness> begin(ConnectionInquiry, Connection connection,
                                          std::vector<Endpoint> others) {
    for (asio::error_code error;; connection = begin_to_connect(others)) {
      asio::ip::tcp::socket socket{co_await asio::this_coro::executor};
      co_await finish_connecting(connection, socket, error);
      if (!error) co_return true;
      if (others.empty()) co_return failed(error);
    }
  }
};

MIRAKURU_DECL Entry enter_look(Race& race, const TCPCheck* check) {
  return enter_inquiry(race, check->host, check->port, ConnectionInquiry{});
}

MIRAKURU_DECL Entry enter(Race& race, const TCPCheck* check, const Process&) {
  return enter_look(race, check);
}

}  // namespace detail
}  // namespace mirakuru
