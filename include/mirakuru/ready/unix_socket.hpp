// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <string>
#include <utility>

#include <mirakuru/os/config.hpp>
#include <mirakuru/ready/probe.hpp>

namespace mirakuru {

/// The address of a Unix socket: a path, or `@` and a name for one in Linux's abstract name space.
/// Throws `std::invalid_argument` for an empty one, and for more than 107 bytes, not counting the
/// `@`. Source: unix(7).
class SocketPath {
 public:
  SocketPath(std::string path);
  /// From a literal or a `std::filesystem::path`, for example.
  template <std::convertible_to<std::string> Text>
  SocketPath(const Text& path) : SocketPath{static_cast<std::string>(path)} {}

  [[nodiscard]] const std::string& str() const noexcept { return path_; }
  [[nodiscard]] bool abstract() const noexcept { return path_[0] == '@'; }

 private:
  std::string path_;
};

/// Ready when a Unix stream socket accepts a connection, which is then closed.
///
/// A socket that is bound and does not listen is not ready. A socket file that a server has left
/// behind is neither ready nor `AlreadyRunning`. Rests on a non-blocking `connect`, and on inotify
/// for the path and the target of a symbolic link.
struct UnixSocketCheck {
  SocketPath path;

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const { return "a connection to " + path.str(); }
  /// True when the socket accepts connections before the start.
  [[nodiscard]] bool already_true() const;
  /// Says that the socket answers, and which process holds it.
  [[nodiscard]] std::string describe_conflict() const;
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/unix_socket.ipp>
#endif
