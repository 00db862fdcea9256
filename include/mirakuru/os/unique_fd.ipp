// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL void throw_error(int error, const std::string& text) {
  throw std::system_error{error, std::generic_category(), text};
}

MIRAKURU_DECL void throw_errno(const char* call) { throw_error(errno, call); }

MIRAKURU_DECL UniqueFd move_above_stdio(UniqueFd fd) {
  if (fd.get() < 3) fd = UniqueFd{::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3)};
  if (!fd) throw_errno("fcntl F_DUPFD_CLOEXEC");
  return fd;
}

MIRAKURU_DECL UniqueFd checked_fd(int fd, const char* call) {
  if (fd < 0) throw_errno(call);
  return move_above_stdio(UniqueFd{fd});
}

MIRAKURU_DECL Pipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("pipe2");
  UniqueFd reading{ends[0]}, writing{ends[1]};
  return {move_above_stdio(std::move(reading)), move_above_stdio(std::move(writing))};
}

}  // namespace mirakuru::detail
