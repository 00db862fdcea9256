// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>

#include <mirakuru/output/streams.hpp>

namespace mirakuru {

namespace detail {

/// Makes a descriptor fit for a stream; none stays none.
inline OutputFile stream_file(UniqueFd fd) {
  if (!fd) return {};
  if (::fcntl(fd.get(), F_SETFD, FD_CLOEXEC) != 0) throw_errno("fcntl F_SETFD");
  return OutputFile{move_above_stdio(std::move(fd))};
}

}  // namespace detail

MIRAKURU_DECL OutputStreams OutputStreams::from(int out, int err) {
  constexpr auto dup = F_DUPFD_CLOEXEC;
  detail::UniqueFd out_fd{out};
  auto err_fd = out == err && out >= 0
                    ? detail::checked_fd(::fcntl(out, dup, 3), "fcntl F_DUPFD_CLOEXEC")
                    : detail::UniqueFd{err};
  auto out_file = detail::stream_file(std::move(out_fd));
  return {std::move(out_file), detail::stream_file(std::move(err_fd))};
}

}  // namespace mirakuru
