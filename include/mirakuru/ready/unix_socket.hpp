// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <utility>

#include <mirakuru/os/config.hpp>

namespace mirakuru {

class Process;
namespace detail {
class Watch;
}

/// The address of a Unix socket: a path, or `@` and a name for one in Linux's abstract name space.
/// Throws `std::invalid_argument` for an empty one, and for more than 107 bytes, not counting the
/// `@`. Source: unix(7).
class SocketPath {
 public:
  SocketPath(std::string path);
  SocketPath(const char* path) : SocketPath{std::string{path}} {}
  /// From a std::filesystem::path, say.
  template <class Text>
    requires std::convertible_to<const Text&, std::string>
  SocketPath(const Text& path) : SocketPath{static_cast<std::string>(path)} {}

  [[nodiscard]] const std::string& str() const noexcept { return path_; }
  [[nodiscard]] bool abstract() const noexcept { return path_[0] == '@'; }

 private:
  std::string path_;
};

/// Ready when a Unix stream socket accepts a connection, which is then closed.
///
/// A socket that is bound and not listening is not ready; neither is a file that a server has left
/// behind, and such a one is not `AlreadyRunning` either. Rests on a non-blocking `connect`, and on
/// inotify for the path, and for a symbolic link's target.
struct UnixSocketCheck {
  SocketPath path;

  /// What is waited for, as an executor's messages say it.
  [[nodiscard]] std::string describe() const { return "a connection to " + path.str(); }
  /// True when the socket accepts connections now.
  [[nodiscard]] bool already_true() const;
  /// That the socket answers, and whose it is.
  [[nodiscard]] std::string describe_conflict() const;
  /// For executors: what they wait by.
  [[nodiscard]] std::unique_ptr<detail::Watch> watch(const Process& process) const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/unix_socket.ipp>
#endif
