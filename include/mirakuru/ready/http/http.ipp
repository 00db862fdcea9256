// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/ready/http/exchange.hpp>
#include <mirakuru/ready/http/http.hpp>
#include <mirakuru/ready/net/unix_socket.hpp>

namespace mirakuru {

namespace detail {

inline Target target_of(const HTTPCheck& check, const Process& process) {
  return {.host = name_of_host(check.url.host(), process),
          .port = check.url.port(),
          .socket = check.socket,
          .owned = check.owned && !check.may_be_there};
}

}  // namespace detail

[[gnu::cold]] MIRAKURU_DECL std::string HTTPCheck::describe() const {
  return detail::Exchange::of(*this).describe() + (socket ? " at " + socket->str() : "");
}

[[gnu::cold]] MIRAKURU_DECL std::string HTTPCheck::describe_conflict() const {
  if (socket) return UnixSocketCheck{*socket}.describe_conflict();
  return static_cast<TCPCheck>(*this).describe_conflict();
}

[[gnu::cold]] MIRAKURU_DECL std::string HTTPCheck::hint(const Process& process) const {
  return socket ? "" : static_cast<TCPCheck>(*this).hint(process);
}

MIRAKURU_DECL std::unique_ptr<Probe> HTTPCheck::precheck() const {
  if (!socket) return static_cast<TCPCheck>(*this).precheck();
  if (may_be_there) return nullptr;
  return std::make_unique<detail::ConnectProbe>(detail::Target{.socket = socket});
}

MIRAKURU_DECL std::unique_ptr<Probe> HTTPCheck::probe(const Process& process) const {
  return std::make_unique<detail::HTTPProbe<detail::PlainStream>>(
      detail::Exchange::of(*this), detail::target_of(*this, process), process);
}

MIRAKURU_DECL HTTPCheck::operator TCPCheck() const {
  if (socket)
    throw std::invalid_argument{"the HTTP check of " + socket->str() +
                                " has no TCP port; give it to an executor without TCPCheck"};
  return {.host = url.host(), .port = url.port(), .owned = owned, .may_be_there = may_be_there};
}

}  // namespace mirakuru
