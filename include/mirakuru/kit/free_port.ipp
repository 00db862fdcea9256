// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include <mirakuru/kit/free_port.hpp>

namespace mirakuru {

namespace detail {

MIRAKURU_DECL std::vector<PortRange> ports_outside(const std::string& local,
                                                   const std::string& reserved) {
  constexpr int most = 65535, common = 1024, preferred = 10'000;
  PortRange handed_out{32768, 60999};
  std::istringstream{local} >> handed_out.first >> handed_out.last;
  std::vector<PortRange> ranges{{common, handed_out.first - 1}, {handed_out.last + 1, most}};
  std::istringstream list{reserved};
  for (std::string item; std::getline(list, item, ',');) {
    PortRange range{0, 0};
    if (std::sscanf(item.c_str(), "%d-%d", &range.first, &range.last) == 1)
      range.last = range.first;
    range.first = std::max(range.first, handed_out.first);
    range.last = std::min(range.last, handed_out.last);
    ranges.push_back(range);
  }
  std::erase_if(ranges, [](const PortRange& range) {
    return range.first > range.last || range.first < common || range.last > most;
  });
  // The lower ones are those of well-known services.
  auto high = ranges;
  std::erase_if(high, [](const PortRange& range) { return range.last < preferred; });
  for (auto& range : high) range.first = std::max(range.first, preferred);
  return high.empty() ? ranges : high;
}

MIRAKURU_DECL UniqueFd lock_port(int port) {
  UniqueFd lock{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!lock) throw_errno("socket");
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  // The name begins with a zero: it is abstract, and no file.
  const int size =
      std::snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "mirakuru-port-%d", port);
  const auto length = offsetof(sockaddr_un, sun_path) + 1 + static_cast<std::size_t>(size);
  if (::bind(lock.get(), reinterpret_cast<const sockaddr*>(&name),
             static_cast<socklen_t>(length)) != 0)
    return {};
  return move_above_stdio(std::move(lock));
}

/// Binds a socket to a port of all addresses of a family. None if that is refused; `errno` has the
/// reason.
inline UniqueFd bind_port(int family, int type, int port, bool reuse) {
  UniqueFd socket{::socket(family, type | SOCK_CLOEXEC, 0)};
  if (!socket) return {};
  const int yes = 1;
  if (reuse) ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const auto number = htons(static_cast<std::uint16_t>(port));
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = number;
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = number;
  if (family == AF_INET6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
  const int result = family == AF_INET
                         ? ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&v4), sizeof v4)
                         : ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
  if (result == 0) return socket;
  const int error = errno;
  socket.reset();
  errno = error;
  return {};
}

MIRAKURU_DECL bool is_free(int port) {
  for (const int family : {AF_INET, AF_INET6})
    for (const int type : {SOCK_STREAM, SOCK_DGRAM})
      if (!bind_port(family, type, port, false)) {
        if (errno == EADDRINUSE) return false;
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
          throw_errno("socket");
      }
  return true;
}

inline std::string port_setting(const char* file) {
  std::string line;
  std::getline(std::ifstream{file}, line);
  return line;
}

}  // namespace detail

MIRAKURU_DECL FreePort::FreePort() {
  using namespace detail;
  auto ranges = ports_outside(port_setting("/proc/sys/net/ipv4/ip_local_port_range"),
                              port_setting("/proc/sys/net/ipv4/ip_local_reserved_ports"));
  const bool handed_out = ranges.empty();
  if (handed_out) ranges = {{32768, 60999}};
  int count = 0;
  for (const auto& range : ranges) count += range.last - range.first + 1;
  unsigned start = 0;
  if (::getrandom(&start, sizeof start, 0) != sizeof start) throw_errno("getrandom");
  for (int tried = 0; tried < count; ++tried) {
    int port = (static_cast<int>(start % static_cast<unsigned>(count)) + tried) % count;
    for (const auto& range : ranges) {
      const int size = range.last - range.first + 1;
      if (port < size) {
        port += range.first;
        break;
      }
      port -= size;
    }
    auto lock = lock_port(port);
    if (!lock || !is_free(port)) continue;
    number_ = static_cast<std::uint16_t>(port);
    lock_ = std::move(lock);
    if (handed_out)
      for (int i = 0; i < 2; ++i)
        held_[i] = bind_port(i == 0 ? AF_INET : AF_INET6, SOCK_STREAM, port, true);
    return;
  }
  throw_error(EADDRINUSE, "no port is free");
}

}  // namespace mirakuru
