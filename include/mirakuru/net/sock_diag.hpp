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
#include <vector>

namespace mirakuru::detail {

/// An address as IPv6 has it, an IPv4 address as ::ffff:a.b.c.d. A connection to all addresses goes
/// to loopback. None for other families.
[[nodiscard]] inline std::optional<in6_addr> mapped_address(const sockaddr* address) {
  in6_addr mapped{};
  if (address->sa_family == AF_INET) {
    auto v4 = reinterpret_cast<const sockaddr_in&>(*address).sin_addr;
    if (v4.s_addr == htonl(INADDR_ANY)) v4.s_addr = htonl(INADDR_LOOPBACK);
    mapped.s6_addr32[2] = htonl(0xffff);
    mapped.s6_addr32[3] = v4.s_addr;
  } else if (address->sa_family == AF_INET6) {
    mapped = reinterpret_cast<const sockaddr_in6&>(*address).sin6_addr;
    if (IN6_IS_ADDR_UNSPECIFIED(&mapped)) mapped = in6addr_loopback;
  } else {
    return {};
  }
  return mapped;
}

/// True for 127.0.0.0/8 and ::1.
[[nodiscard]] inline bool is_loopback(const in6_addr& mapped) {
  return IN6_IS_ADDR_LOOPBACK(&mapped) ||
         (IN6_IS_ADDR_V4MAPPED(&mapped) && mapped.s6_addr[12] == IN_LOOPBACKNET);
}

/// A socket that listens on a TCP port, as the kernel's table has it.
struct ListenerEntry {
  in6_addr address = {};  // mapped
  bool is_v4 = false, v6_only = false;
  std::uint16_t port = 0;
  std::uint32_t interface = 0;  // it takes connections of this one only; 0: of all
  std::uint32_t user = 0;
  std::uint64_t inode = 0;

  /// How much closer than others it is to a mapped address; none if it takes no connections to it.
  /// The kernel hands a connection to the closest: to a socket of the very address, else of all.
  [[nodiscard]] std::optional<int> distance_to(const in6_addr& mapped) const noexcept {
    const bool asks_v4 = IN6_IS_ADDR_V4MAPPED(&mapped);
    const int family = asks_v4 && !is_v4 ? 1 : 0;
    if (std::memcmp(&address, &mapped, sizeof address) == 0) return family;
    const bool all_v4 = IN6_IS_ADDR_V4MAPPED(&address) && address.s6_addr32[3] == 0;
    const bool all_v6 = IN6_IS_ADDR_UNSPECIFIED(&address);
    if (asks_v4 ? all_v4 || (all_v6 && !v6_only) : all_v6) return 2 + family;
    return {};
  }
  [[nodiscard]] bool operator==(const ListenerEntry& other) const noexcept {
    return inode == other.inode && port == other.port;
  }
};

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
  static constexpr std::uint32_t listens = 1 << 10;  // of TCP_LISTEN
  static constexpr std::uint16_t list = 18;          // TCPDIAG_GETSOCK
  static constexpr std::uint16_t is_v6_only = 11;    // INET_DIAG_SKV6ONLY

  struct Request {  // inet_diag_req_v2, with its inet_diag_sockid
    std::uint8_t family, protocol, extensions, padding;
    std::uint32_t states;
    std::uint16_t port, remote_port;  // in network byte order
    std::uint32_t address[4], remote_address[4], interface, cookie[2];
  } request;

  struct Answer {  // nlmsghdr, inet_diag_msg with its inet_diag_sockid
    Header header;
    std::uint8_t family, state, timer, retransmissions;
    std::uint16_t port, remote_port;  // in network byte order
    std::uint32_t address[4], remote_address[4], interface, cookie[2];
    std::uint32_t expires, received, sent, user, inode;
  };

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

  /// Reads a message of at least the size of an answer.
  [[nodiscard]] static ListenerEntry entry(const char* bytes, std::size_t size) {
    Answer answer;
    std::memcpy(&answer, bytes, sizeof answer);
    ListenerEntry result{.port = ntohs(answer.port),
                         .interface = answer.interface,
                         .user = answer.user,
                         .inode = answer.inode};
    result.is_v4 = answer.family == AF_INET;
    if (result.is_v4) {
      result.address.s6_addr32[2] = htonl(0xffff);
      result.address.s6_addr32[3] = answer.address[0];
    } else {
      std::memcpy(&result.address, answer.address, sizeof result.address);
    }
    struct {
      std::uint16_t length, type;
    } attribute;  // nlattr
    for (auto at = sizeof answer; at + sizeof attribute < size;
         at += (attribute.length + 3) & ~3U) {
      std::memcpy(&attribute, bytes + at, sizeof attribute);
      if (attribute.length < sizeof attribute) break;
      if (attribute.type == is_v6_only) result.v6_only = bytes[at + sizeof attribute] != 0;
    }
    return result;
  }
};
static_assert(sizeof(SockDiag) == 72 && sizeof(SockDiag::Answer) == 16 + 72);

/// A question for all sockets that listen, or those on a port. This older form, inet_diag_req, gets
/// both families in one walk through the table, which is the larger part of the cost.
struct SockDiagList {
  SockDiag::Header header;
  std::uint8_t family, lengths[2], extensions;
  std::uint16_t port, remote_port;  // in network byte order
  std::uint32_t address[4], remote_address[4], interface, cookie[2], states, unused;

  SockDiagList(std::uint16_t of_port, std::uint32_t number)
      : header{.length = sizeof *this,
               .type = SockDiag::list,
               .flags = SockDiag::is_request | SockDiag::dump,
               .number = number,
               .port = 0},
        family{AF_INET},
        lengths{},
        extensions{0},
        port{htons(of_port)},
        remote_port{0},
        address{},
        remote_address{},
        interface{0},
        cookie{SockDiag::any_cookie, SockDiag::any_cookie},
        states{SockDiag::listens},
        unused{0} {}
};
static_assert(sizeof(SockDiagList) == 16 + 60);

/// Sends the question that begins with a header, and reads the sockets of the answers. True at the
/// end of a complete list.
[[nodiscard]] inline bool read_listeners(int socket, const SockDiag::Header& question,
                                         std::vector<ListenerEntry>& entries) {
  if (::send(socket, &question, question.length, MSG_NOSIGNAL) != question.length) return false;
  std::array<char, 32 * 1024> bytes;  // the kernel's messages are no longer
  for (ssize_t size; (size = ::recv(socket, bytes.data(), bytes.size(), MSG_DONTWAIT)) > 0;) {
    const auto end = static_cast<std::size_t>(size);
    SockDiag::Header part;
    for (std::size_t at = 0; at + sizeof part <= end; at += (part.length + 3) & ~3U) {
      std::memcpy(&part, bytes.data() + at, sizeof part);
      if (part.length < sizeof part || at + part.length > end) break;
      if (part.number != question.number) continue;  // of an earlier question
      if (part.type == SockDiag::done) return true;
      if (part.type == SockDiag::error) return false;
      if (part.length >= sizeof(SockDiag::Answer))
        entries.push_back(SockDiag::entry(bytes.data() + at, part.length));
    }
  }
  return false;
}

}  // namespace mirakuru::detail
