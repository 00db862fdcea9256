// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include <mirakuru/detail/listeners.hpp>

namespace mirakuru::detail {

/// A question to sock_diag, and what is read of its answers.
struct SockDiag {
  nlmsghdr header = {};
  inet_diag_req_v2 request = {};

  SockDiag(int family, std::uint16_t flags, std::uint32_t number) {
    header.nlmsg_len = sizeof *this;
    header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    header.nlmsg_seq = number;
    request.sdiag_family = static_cast<std::uint8_t>(family);
    request.sdiag_protocol = IPPROTO_TCP;
    request.id.idiag_cookie[0] = request.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  }

  /// The number in an answer of the type given, which is zero or that of an error.
  [[nodiscard]] std::optional<int> ask(int socket, std::uint16_t type) const {
    if (::send(socket, this, sizeof *this, MSG_NOSIGNAL) != sizeof *this) return {};
    alignas(nlmsghdr) std::array<char, 256> bytes;
    // The answer is there when send() has returned; one of a question before may be left over.
    for (ssize_t size; (size = ::recv(socket, bytes.data(), bytes.size(), MSG_DONTWAIT)) > 0;) {
      nlmsghdr answer;
      int number = 0;
      if (static_cast<std::size_t>(size) < sizeof answer + sizeof number) continue;
      std::memcpy(&answer, bytes.data(), sizeof answer);
      if (answer.nlmsg_seq != header.nlmsg_seq) continue;
      std::memcpy(&number, bytes.data() + sizeof answer, sizeof number);
      return answer.nlmsg_type == type ? std::optional{number} : std::nullopt;
    }
    return {};
  }
};

MIRAKURU_DECL void Listeners::open() {
  socket_.emplace(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  // A kernel without the module says of every port what it says of one that nobody listens on. But
  // it does not list those in no state at all, which are none.
  if (*socket_ &&
      SockDiag{AF_INET, NLM_F_DUMP, ++asked_}.ask(socket_->get(), NLMSG_DONE).value_or(-1) != 0)
    socket_->reset();
}

MIRAKURU_DECL bool Listeners::none_at(const sockaddr* address) {
  SockDiag question{address->sa_family, 0, 0};
  auto& id = question.request.id;
  if (address->sa_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(*address);
    if (ntohl(v4.sin_addr.s_addr) >> 24 != IN_LOOPBACKNET) return false;
    id.idiag_sport = v4.sin_port;
    std::memcpy(id.idiag_src, &v4.sin_addr, sizeof v4.sin_addr);
  } else {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(*address);
    if (address->sa_family != AF_INET6 || !IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr)) return false;
    id.idiag_sport = v6.sin6_port;
    std::memcpy(id.idiag_src, &v6.sin6_addr, sizeof v6.sin6_addr);
  }
  constexpr int loopback_interface = 1;  // in every network namespace: some listen on it alone
  id.idiag_if = loopback_interface;
  if (!socket_) open();
  question.header.nlmsg_seq = ++asked_;
  return *socket_ && question.ask(socket_->get(), NLMSG_ERROR) == -ENOENT;
}

}  // namespace mirakuru::detail
