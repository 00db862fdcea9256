// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <tuple>

#include <mirakuru/net/address.hpp>
#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/net/holders.hpp>
#include <mirakuru/net/ports.hpp>
#include <mirakuru/os/proc.hpp>

namespace mirakuru::detail {

[[gnu::cold]] MIRAKURU_DECL std::vector<ListeningSocket> listening_sockets(pid_t leader,
                                                                           pid_t guardian,
                                                                           bool& complete) {
  Listeners table;
  TreeListeners tree{leader, guardian};
  std::vector<ListeningSocket> sockets;
  const auto key = [](const ListeningSocket& socket) {
    return std::tie(socket.port, socket.address, socket.pid);
  };
  // They are few: to insert each in its place takes less code than to sort them.
  for (const auto& [pid, entry, elsewhere] : tree.look(table)) {
    sockets.push_back({pid, text_of(entry), entry.port});
    for (auto at = sockets.size() - 1; at > 0 && key(sockets[at]) < key(sockets[at - 1]); --at)
      std::swap(sockets[at], sockets[at - 1]);
  }
  complete = tree.complete();
  return sockets;
}

[[gnu::cold]] MIRAKURU_DECL std::string text_of(const std::vector<ListeningSocket>& sockets) {
  std::string text;
  for (const auto& socket : sockets)
    text +=
        (text.empty() ? "" : ", ") + socket.address + " (pid " + std::to_string(socket.pid) + ')';
  return text;
}

[[gnu::cold]] MIRAKURU_DECL std::string listening_advice(pid_t leader, pid_t guardian,
                                                         const std::string& host,
                                                         std::uint16_t port) {
  bool complete = false;
  const auto sockets = listening_sockets(leader, guardian, complete);
  const bool lives = process_lives(leader) || guardian != 0;
  if (sockets.empty()) return complete && lives ? "it listens on no TCP port" : "";
  const bool is_v6 = host.find(':') != host.npos;
  const bool is_name = !is_v6 && host.find_first_not_of("0123456789.") != host.npos;
  const std::string any = is_v6 ? "::" : "0.0.0.0";
  for (const auto& socket : sockets)
    if (socket.address == authority(host, port) || socket.address == authority(any, port) ||
        ((is_name || host.empty()) && socket.port == port))
      return {};
  return "it listens on " + text_of(sockets);
}

[[gnu::cold]] MIRAKURU_DECL std::string who_listens(const std::string& host, std::uint16_t port) {
  Listeners table;
  const auto all = listeners_now(table, port);
  auto entries = all;
  // Of several addresses the first with a listener.
  for (const auto& endpoint : known_endpoints(host, port)) {
    entries = closest_to(*mapped_address(endpoint.data()), all);
    if (!entries.empty()) break;
  }
  if (entries.empty()) return {};
  std::vector<std::uint64_t> inodes;
  for (const auto& entry : entries) inodes.push_back(entry.inode);
  auto holders = holders_of(inodes);
  std::erase(holders, 0);
  if (holders.empty())
    return "a process of " + one_line(describe_user(entries.back().user)) + " that /proc hides";
  return describe_process(holders.front());
}

}  // namespace mirakuru::detail
