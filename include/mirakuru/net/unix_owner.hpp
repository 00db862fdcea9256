// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include <mirakuru/net/sock_diag.hpp>
#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru::detail {

/// The user who has made the Unix socket that listens at an address, also if its queue is full and
/// no connection can tell. `name` is the whole `sun_path` of an abstract address, with its zero in
/// front. None if nobody listens there, or if the kernel does not tell.
///
/// Rests on sock_diag(7): UDIAG_SHOW_UID, Linux 5.3. The numbers are those of linux/unix_diag.h.
[[nodiscard]] inline std::optional<uid_t> user_of_listener(std::string_view name) {
  constexpr std::uint32_t show_name = 1, show_user = 0x40;
  constexpr std::uint16_t name_attribute = 0, user_attribute = 7;
  struct {
    SockDiag::Header header;
    std::uint8_t family, protocol;  // unix_diag_req
    std::uint16_t padding;
    std::uint32_t states, inode, show, cookie[2];
  } question{};
  question.header = {.length = sizeof question,
                     .type = SockDiag::by_family,
                     .flags = SockDiag::is_request | SockDiag::dump,
                     .number = 1,
                     .port = 0};
  question.family = AF_UNIX;
  question.states = SockDiag::listens;
  question.show = show_name | show_user;
  struct Attribute {
    std::uint16_t length, type;
  };
  constexpr std::size_t message = 16 + 16;  // nlmsghdr and unix_diag_msg

  const UniqueFd socket{::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, SockDiag::protocol)};
  if (!socket || ::send(socket.get(), &question, sizeof question, MSG_NOSIGNAL) < 0) return {};
  std::array<char, 32 * 1024> bytes;  // the kernel's messages are no longer
  for (ssize_t size; (size = ::recv(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT)) > 0;) {
    const auto end = static_cast<std::size_t>(size);
    SockDiag::Header part;
    for (std::size_t at = 0; at + sizeof part <= end; at += (part.length + 3) & ~3U) {
      std::memcpy(&part, bytes.data() + at, sizeof part);
      if (part.length < sizeof part || at + part.length > end || part.type == SockDiag::error ||
          part.type == SockDiag::done)
        return {};
      bool is_it = false;
      std::optional<uid_t> user;
      Attribute attribute;
      for (auto next = at + message; next + sizeof attribute <= at + part.length;
           next += (attribute.length + 3) & ~3U) {
        std::memcpy(&attribute, bytes.data() + next, sizeof attribute);
        if (attribute.length < sizeof attribute || next + attribute.length > at + part.length)
          break;
        const std::string_view value{bytes.data() + next + sizeof attribute,
                                     attribute.length - sizeof attribute};
        if (attribute.type == name_attribute) is_it = value == name;
        if (attribute.type == user_attribute && value.size() >= sizeof(uid_t)) {
          uid_t id;
          std::memcpy(&id, value.data(), sizeof id);
          user = id;
        }
      }
      if (is_it) return user;
    }
  }
  return {};
}

}  // namespace mirakuru::detail
