// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <arpa/inet.h>
#include <dirent.h>
#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>

#include <mirakuru/net/address.hpp>
#include <mirakuru/net/ports.hpp>

namespace mirakuru::detail {

/// The listening sockets of a process's network by inode. Source: proc_net_tcp(5).
inline std::map<unsigned long, ListeningSocket> listening_in_network_of(pid_t pid) {
  std::map<unsigned long, ListeningSocket> sockets;
  for (const char* table : {"/net/tcp", "/net/tcp6"}) {
    std::ifstream lines{"/proc/" + std::to_string(pid) + table};
    for (std::string line; std::getline(lines, line);) {
      unsigned port = 0, state = 0;
      unsigned long inode = 0;
      char hex[33];
      constexpr unsigned listen = 0x0a;
      if (std::sscanf(line.c_str(),
                      " %*u: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*s %*s %lu", hex, &port,
                      &state, &inode) != 4 ||
          state != listen)
        continue;
      in6_addr address{};  // large enough for both families
      const bool is_v6 = std::string_view{hex}.size() > 8;
      for (int i = 0; i < (is_v6 ? 4 : 1); ++i)
        address.s6_addr32[i] =
            static_cast<std::uint32_t>(std::stoul(std::string{hex + 8 * i, 8}, nullptr, 16));
      char text[INET6_ADDRSTRLEN] = "";
      ::inet_ntop(is_v6 ? AF_INET6 : AF_INET, &address, text, sizeof text);
      const auto number = static_cast<std::uint16_t>(port);
      sockets[inode] = {pid, authority(text, number), number};
    }
  }
  return sockets;
}

MIRAKURU_DECL std::vector<ListeningSocket> listening_sockets(const std::vector<pid_t>& pids,
                                                             bool& complete) {
  std::vector<ListeningSocket> found;
  complete = true;
  for (const pid_t pid : pids) {
    const auto all = listening_in_network_of(pid);
    const auto directory = "/proc/" + std::to_string(pid) + "/fd/";
    const std::unique_ptr<DIR, int (*)(DIR*)> descriptors{::opendir(directory.c_str()), ::closedir};
    if (!descriptors) complete = false;
    while (const dirent* entry = descriptors ? ::readdir(descriptors.get()) : nullptr) {
      char target[64] = "";
      unsigned long inode = 0;
      if (::readlink((directory + entry->d_name).c_str(), target, sizeof target - 1) < 0 ||
          std::sscanf(target, "socket:[%lu]", &inode) != 1)
        continue;
      const auto socket = all.find(inode);
      const auto is_same = [&](const ListeningSocket& other) {
        return other.address == socket->second.address;
      };
      if (socket != all.end() && std::none_of(found.begin(), found.end(), is_same))
        found.push_back(socket->second);
    }
  }
  return found;
}

MIRAKURU_DECL std::string listening_advice(const std::vector<pid_t>& pids, const std::string& host,
                                           std::uint16_t port) {
  bool complete = false;
  const auto sockets = listening_sockets(pids, complete);
  if (sockets.empty()) return complete && !pids.empty() ? "it listens on no TCP port" : "";
  const bool is_v6 = host.find(':') != host.npos;
  const bool is_name = !is_v6 && host.find_first_not_of("0123456789.") != host.npos;
  const std::string any = is_v6 ? "::" : "0.0.0.0";
  std::string text;
  for (const auto& socket : sockets) {
    const bool is_asked = socket.address == authority(host, port) ||
                          socket.address == authority(any, port) ||
                          (is_name && socket.port == port);
    if (is_asked) return {};
    text += (text.empty() ? "it listens on " : ", ") + socket.address + " (pid " +
            std::to_string(socket.pid) + ')';
  }
  return text;
}

}  // namespace mirakuru::detail
