// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/un.h>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <utility>

#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/net/socket_path.hpp>
#include <mirakuru/os/printable.hpp>

namespace mirakuru {

MIRAKURU_DECL SocketPath::SocketPath(std::string path) : path_{std::move(path)} {
  if (path_.empty() || path_ == "@" || path_.find('\0') != std::string::npos)
    throw std::invalid_argument{"not the path of a socket: '" + detail::one_line(path_) + "'"};
  // A path needs a NUL behind it; an abstract name has the NUL in front, in the place of its @.
  if (path_.size() > sizeof(sockaddr_un::sun_path) - (abstract() ? 0 : 1))
    throw std::invalid_argument{"too long for the path of a socket: '" + detail::one_line(path_) +
                                "'"};
}

MIRAKURU_DECL detail::Endpoint SocketPath::endpoint() const noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof address.sun_path);
  if (abstract()) address.sun_path[0] = '\0';
  const auto size = offsetof(sockaddr_un, sun_path) + path_.size() + (abstract() ? 0 : 1);
  detail::Endpoint result{.size = static_cast<socklen_t>(size)};
  std::memcpy(&result.address, &address, sizeof address);
  return result;
}

}  // namespace mirakuru
