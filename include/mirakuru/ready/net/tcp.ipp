// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/net/ports.hpp>
#include <mirakuru/ready/net/connect.hpp>
#include <mirakuru/ready/net/tcp.hpp>

namespace mirakuru {

MIRAKURU_DECL std::string TCPCheck::describe() const {
  if (port == 0) return "a connection to " + host.str() + ", on a port that it chooses";
  return "a connection to " + detail::authority(host, port);
}

MIRAKURU_DECL std::string TCPCheck::describe_conflict() const {
  const auto holder = detail::who_listens(host, port);
  return detail::authority(host, port) + " answers" + (holder.empty() ? "" : ", held by " + holder);
}

MIRAKURU_DECL std::string TCPCheck::hint(const Process& process) const {
  return detail::listening_advice(process.pid(), process.context().guardian, host, port);
}

MIRAKURU_DECL std::unique_ptr<Probe> TCPCheck::precheck() const {
  if (port == 0 || may_be_there) return nullptr;
  return std::make_unique<detail::ConnectProbe>(detail::Target{host, port});
}

MIRAKURU_DECL std::unique_ptr<Probe> TCPCheck::probe(const Process& process) const {
  return std::make_unique<detail::ConnectProbe>(
      detail::Target{.host = host, .port = port, .owned = owned && !may_be_there}, &process);
}

}  // namespace mirakuru
