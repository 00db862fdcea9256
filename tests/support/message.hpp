// SPDX-License-Identifier: BSL-1.0
// Datagrams with a descriptor.

#pragma once

#include <sys/socket.h>

#include <cstring>
#include <string>

namespace test {

/// Sends a datagram. `given` goes along unless it is -1. False with `errno` if it cannot be sent.
inline bool send_message(int socket, const std::string& text, int given = -1, int flags = 0) {
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof given)] = {};
  if (given >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof given);
    std::memcpy(CMSG_DATA(header), &given, sizeof given);
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL | flags) >= 0;
}

}  // namespace test
