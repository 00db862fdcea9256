// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include <mirakuru/net/sock_diag.hpp>
#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru::detail {

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
  /// All sockets that listen, or those on a port, on any address of this machine. None if the table
  /// is not available.
  [[nodiscard]] std::optional<std::vector<ListenerEntry>> all(std::uint16_t port = 0) {
    std::vector<ListenerEntry> entries;
    const SockDiagList question{port, ++asked_};
    if (!is_open() || !read_listeners(socket_->get(), question.header, entries)) return {};
    return entries;
  }
  /// One of the sockets to which a connection to an address of this machine goes. None if the table
  /// has none, or is not available.
  [[nodiscard]] std::optional<ListenerEntry> one_of(const sockaddr* address) {
    std::vector<ListenerEntry> entries;
    if (is_open()) {
      const auto question = question_about(address);
      (void)read_listeners(socket_->get(), question.header, entries);
    }
    return entries.empty() ? std::nullopt : std::optional{entries.front()};
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
    if (address->sa_family == AF_INET) {
      const auto& v4 = reinterpret_cast<const sockaddr_in&>(*address);
      if (ntohl(v4.sin_addr.s_addr) >> 24 != IN_LOOPBACKNET) return {};
    } else {
      const auto& v6 = reinterpret_cast<const sockaddr_in6&>(*address);
      if (address->sa_family != AF_INET6 || !IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr)) return {};
    }
    return is_open() ? question_about(address).ask(socket_->get(), type) : std::nullopt;
  }

  /// The question for the listener at an address of TCP.
  [[nodiscard]] SockDiag question_about(const sockaddr* address) {
    SockDiag question{address->sa_family, 0, ++asked_};
    auto& request = question.request;
    if (address->sa_family == AF_INET) {
      const auto& v4 = reinterpret_cast<const sockaddr_in&>(*address);
      request.port = v4.sin_port;
      std::memcpy(request.address, &v4.sin_addr, sizeof v4.sin_addr);
    } else {
      const auto& v6 = reinterpret_cast<const sockaddr_in6&>(*address);
      request.port = v6.sin6_port;
      std::memcpy(request.address, &v6.sin6_addr, sizeof v6.sin6_addr);
    }
    request.interface = SockDiag::loopback_interface;  // a listener may be bound to it
    return question;
  }

  [[nodiscard]] bool is_open() {
    if (!socket_) open();
    return static_cast<bool>(*socket_);
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
