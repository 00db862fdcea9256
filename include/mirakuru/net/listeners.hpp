// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru::detail {

/// A question to sock_diag. The numbers and structs are those of linux/netlink.h,
/// linux/sock_diag.h and linux/inet_diag.h, whose macros could clash with a user's names.
struct SockDiag {
  static constexpr int protocol = 4;                              // NETLINK_SOCK_DIAG
  static constexpr std::uint16_t by_family = 20;                  // SOCK_DIAG_BY_FAMILY
  static constexpr std::uint16_t is_request = 1, dump = 0x300;    // NLM_F_REQUEST, NLM_F_DUMP
  static constexpr std::uint16_t error = 2, done = 3;             // NLMSG_ERROR, NLMSG_DONE
  static constexpr std::uint32_t any_cookie = ~std::uint32_t{0};  // INET_DIAG_NOCOOKIE
  static constexpr std::uint32_t loopback_interface = 1;          // in every network namespace

  struct Header {  // nlmsghdr
    std::uint32_t length;
    std::uint16_t type, flags;
    std::uint32_t number, port;
  } header;
  struct Request {  // inet_diag_req_v2, with its inet_diag_sockid
    std::uint8_t family, protocol, extensions, padding;
    std::uint32_t states;
    std::uint16_t port, remote_port;  // in network byte order
    std::uint32_t address[4], remote_address[4], interface, cookie[2];
  } request;

  SockDiag(int family, std::uint16_t flags, std::uint32_t number)
      : header{.length = sizeof *this,
               .type = by_family,
               .flags = static_cast<std::uint16_t>(is_request | flags),
               .number = number,
               .port = 0},
        request{} {
    request.family = static_cast<std::uint8_t>(family);
    request.protocol = IPPROTO_TCP;
    request.cookie[0] = request.cookie[1] = any_cookie;
  }

  /// Sends the question. Returns the number in an answer of this type: an error number or 0.
  [[nodiscard]] std::optional<int> ask(int socket, std::uint16_t type) const {
    if (::send(socket, this, sizeof *this, MSG_NOSIGNAL) != sizeof *this) return {};
    std::array<char, 256> bytes;
    // The kernel answers before send() returns. An answer to an earlier question may come first.
    for (ssize_t size; (size = ::recv(socket, bytes.data(), bytes.size(), MSG_DONTWAIT)) > 0;) {
      Header answer;
      int number = 0;
      if (static_cast<std::size_t>(size) < sizeof answer + sizeof number) continue;
      std::memcpy(&answer, bytes.data(), sizeof answer);
      if (answer.number != header.number) continue;
      std::memcpy(&number, bytes.data() + sizeof answer, sizeof number);
      return answer.type == type ? std::optional{number} : std::nullopt;
    }
    return {};
  }
};
static_assert(sizeof(SockDiag) == 72);

/// The kernel's table of listening TCP ports. A question costs an eighth of a refused connection,
/// and no service notices it. The table does not see redirection by packet filters.
///
/// Rests on sock_diag(7); the first question may make the kernel load its module. If the table is
/// not available, nothing is known.
class Listeners {
 public:
  /// True if certainly nobody listens at this address. False for an address outside loopback.
  [[nodiscard]] bool none_at(const sockaddr* address) {
    return answer_about(address, SockDiag::error) == -ENOENT;
  }
  /// True if certainly somebody listens at this address, even with a full queue.
  [[nodiscard]] bool one_at(const sockaddr* address) {
    return answer_about(address, SockDiag::by_family).has_value();
  }
  /// Closes the descriptor for good. False if there is none.
  bool close() noexcept {
    const bool had = socket_ && *socket_;
    if (had) socket_->reset();
    return had;
  }

 private:
  /// The number in an answer of this type; none for an address outside loopback.
  std::optional<int> answer_about(const sockaddr* address, std::uint16_t type) {
    SockDiag question{address->sa_family, 0, 0};
    auto& request = question.request;
    if (address->sa_family == AF_INET) {
      const auto& v4 = reinterpret_cast<const sockaddr_in&>(*address);
      if (ntohl(v4.sin_addr.s_addr) >> 24 != IN_LOOPBACKNET) return {};
      request.port = v4.sin_port;
      std::memcpy(request.address, &v4.sin_addr, sizeof v4.sin_addr);
    } else {
      const auto& v6 = reinterpret_cast<const sockaddr_in6&>(*address);
      if (address->sa_family != AF_INET6 || !IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr)) return {};
      request.port = v6.sin6_port;
      std::memcpy(request.address, &v6.sin6_addr, sizeof v6.sin6_addr);
    }
    request.interface = SockDiag::loopback_interface;  // a listener may be bound to it
    if (!socket_) open();
    question.header.number = ++asked_;
    return *socket_ ? question.ask(socket_->get(), type) : std::nullopt;
  }

  void open() {
    socket_.emplace(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, SockDiag::protocol));
    // Without the module the kernel answers for each port as if nobody listened. So first ask for a
    // list that is always empty, the sockets in no state: only with the module does it succeed.
    if (*socket_ && SockDiag{AF_INET, SockDiag::dump, ++asked_}
                            .ask(socket_->get(), SockDiag::done)
                            .value_or(-1) != 0)
      socket_->reset();
  }

  std::optional<UniqueFd> socket_;  // -1 inside: the table is not available
  std::uint32_t asked_ = 0;
};

}  // namespace mirakuru::detail
