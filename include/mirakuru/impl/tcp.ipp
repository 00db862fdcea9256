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

inline asio::awaitable<Readiness> attempt_connection(const Host& host, Port port,
                                                     std::size_t number) {
  asio::error_code error;
  for (const auto& endpoint : co_await endpoints(host, port, number, error)) {
    asio::ip::tcp::socket socket{co_await asio::this_coro::executor};
    co_await connect(socket, endpoint, error);
    if (!error) co_return true;
  }
  co_return failed(error);
}

MIRAKURU_DECL void enter_look(Race& race, const TCPCheck* check) {
  race.core().enter(attempt_connection(check->host, check->port, race.core().attempts));
}

MIRAKURU_DECL Attempt enter(Race& race, const TCPCheck* check, const Process&) {
  enter_look(race, check);
  return Attempt::limited;
}

}  // namespace detail
}  // namespace mirakuru
