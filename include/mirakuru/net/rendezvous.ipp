// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cerrno>
#include <cstddef>
#include <utility>

#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/net/rendezvous.hpp>
#include <mirakuru/net/socket_path.hpp>
#include <mirakuru/net/unix_owner.hpp>
#include <mirakuru/text/fnv.hpp>

namespace mirakuru::detail {

inline UniqueFd rendezvous_socket() {
  return checked_fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket");
}

MIRAKURU_DECL Rendezvous::Rendezvous(std::string_view name, std::string_view scope)
    : user_{::geteuid()} {
  // The length keeps "ab" and "c" apart from "a" and "bc".
  const auto hash = fnv(scope, fnv(name, fnv(std::to_string(name.size()) + ':')));
  prefix_ = "@mirakuru/" + std::to_string(user_) + '/' + std::to_string(hash) + '/';
}

MIRAKURU_DECL std::string Rendezvous::address(int n) const { return prefix_ + std::to_string(n); }

MIRAKURU_DECL Rendezvous::Peer Rendezvous::reach(int n, UniqueFd& connection) const {
  const auto target = SocketPath{address(n)}.endpoint();
  auto socket = rendezvous_socket();
  if (::connect(socket.get(), target.data(), target.size) != 0) {
    if (errno == ECONNREFUSED) return Peer::none;
    // Its queue is full, so no connection tells its user.
    if (errno == EAGAIN) {
      constexpr auto begin = offsetof(sockaddr_un, sun_path);
      const std::string_view name{reinterpret_cast<const char*>(&target.address) + begin,
                                  target.size - begin};
      return user_of_listener(name).value_or(user_) == user_ ? Peer::busy : Peer::foreign;
    }
    if (errno == EPROTOTYPE) return Peer::foreign;  // no Rendezvous makes a socket of another type
    throw_errno("connect");
  }
  // The user that called listen(): a process that got the socket later does not change it.
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    throw_errno("getsockopt SO_PEERCRED");
  if (peer.uid != user_) return Peer::foreign;
  connection = std::move(socket);
  return Peer::mine;
}

MIRAKURU_DECL Rendezvous::Outcome Rendezvous::attempt(TimePoint now) {
  for (int n = 0; n < addresses; ++n) {
    auto& silent_since = silent_since_[static_cast<std::size_t>(n)];
    UniqueFd connection;
    const auto peer = reach(n, connection);
    if (peer == Peer::mine) return {Role::joined, std::move(connection)};
    if (peer == Peer::busy) return {Role::undecided};
    if (peer == Peer::foreign) {
      silent_since = {};
      continue;
    }
    auto listener = rendezvous_socket();
    const auto own = SocketPath{address(n)}.endpoint();
    if (::bind(listener.get(), own.data(), own.size) == 0) {
      if (::listen(listener.get(), SOMAXCONN) != 0) throw_errno("listen");
      silent_since = {};
      return first_or_other(n, std::move(listener));
    }
    if (errno != EADDRINUSE) throw_errno("bind");
    // Bound, and does not listen: about to, or a squatter's. To go on is safe in both cases, since
    // a program that listens late looks at the others first.
    if (silent_since == TimePoint{}) silent_since = now;
    if (now - silent_since < patience) return {Role::undecided};
  }
  return {Role::refused};
}

// A squatter that has come or gone may have sent two programs to two addresses. Each looks at the
// others after it listens, so at least one sees the other and gives way.
MIRAKURU_DECL Rendezvous::Outcome Rendezvous::first_or_other(int own, UniqueFd listener) const {
  for (int n = 0; n < addresses; ++n) {
    if (n == own) continue;
    UniqueFd connection;
    const auto peer = reach(n, connection);
    if (peer == Peer::mine) return {Role::joined, std::move(connection)};
    if (peer == Peer::busy) return {Role::undecided};
  }
  return {Role::starter, std::move(listener)};
}

}  // namespace mirakuru::detail
