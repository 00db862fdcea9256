// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <stdexcept>

#include <mirakuru/net/ports.hpp>
#include <mirakuru/ready/net/connect.hpp>
#include <mirakuru/ready/net/tcp.hpp>

namespace mirakuru {

[[gnu::cold]] MIRAKURU_DECL std::string TCPCheck::describe() const {
  if (port == 0) return "a connection to " + host.str() + ", on a port that it chooses";
  return "a connection to " + detail::authority(host, port);
}

[[gnu::cold]] MIRAKURU_DECL std::string TCPCheck::describe_conflict() const {
  const auto holder = detail::who_listens(host, port);
  return detail::authority(host, port) + " answers" + (holder.empty() ? "" : ", held by " + holder);
}

[[gnu::cold]] MIRAKURU_DECL std::string TCPCheck::hint(const Process& process) const {
  if (process.context().far != nullptr) return {};
  return detail::listening_advice(process.pid(), process.context().guardian, host, port);
}

MIRAKURU_DECL std::unique_ptr<Probe> TCPCheck::precheck() const {
  if (port == 0 || may_be_there || host.is_spawned()) return nullptr;
  return std::make_unique<detail::ConnectProbe>(detail::Target{host, port});
}

MIRAKURU_DECL std::unique_ptr<Probe> TCPCheck::probe(const Process& process) const {
  if (port == 0 && process.context().far != nullptr)
    throw std::invalid_argument{"port 0 is unknown on another machine; give the port"};
  return std::make_unique<detail::ConnectProbe>(
      detail::Target{.host = detail::name_of_host(host, process),
                     .port = port,
                     .owned = owned && !may_be_there},
      &process);
}

}  // namespace mirakuru
