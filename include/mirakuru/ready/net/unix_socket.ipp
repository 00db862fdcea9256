// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/socket.h>
#include <sys/time.h>
#include <cinttypes>
#include <cstdio>
#include <fstream>

#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/net/holders.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/ready/file/file_probe.hpp>
#include <mirakuru/ready/net/unix_socket.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru {

namespace detail {

/// Connects to the socket of whichever type; an errno value when it cannot, EAGAIN when `patience`
/// has run out and the listener's queue is full. The connection is closed with `socket`.
inline int connect_unix(const SocketPath& path, UniqueFd& socket,
                        std::chrono::microseconds patience = {}) {
  const auto endpoint = path.endpoint();
  // For a Unix socket a connect that does not block has succeeded or failed when it returns.
  const int mode = patience == patience.zero() ? SOCK_NONBLOCK : 0;
  const timeval limit{.tv_sec = 0, .tv_usec = patience.count()};
  for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
    socket = UniqueFd{::socket(AF_UNIX, type | mode | SOCK_CLOEXEC, 0)};
    if (mode == 0) ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (socket && ::connect(socket.get(), endpoint.data(), endpoint.size) == 0) return 0;
    // Each type has abstract names of its own.
    if (errno != EPROTOTYPE && !(path.abstract() && errno == ECONNREFUSED)) break;
  }
  return errno;
}

/// A process that holds the socket; 0 if the kernel does not tell. It tells nothing of the peer of
/// a datagram socket, but its table has the path and the inode. Source: proc_net_unix(5).
[[gnu::cold]] inline pid_t holder_of(const SocketPath& path, const UniqueFd& connection) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0)
    return peer.pid;
  std::ifstream table{"/proc/net/unix"};
  for (std::string line; std::getline(table, line);) {
    std::uint64_t inode = 0;
    int path_at = 0;
    if (std::sscanf(line.c_str(), "%*[^ ] %*s %*s %*s %*s %*s %" SCNu64 " %n", &inode, &path_at) ==
            1 &&
        path_at > 0 && line.compare(static_cast<std::size_t>(path_at), line.npos, path.str()) == 0)
      return holders_of({inode}).front();
  }
  return 0;
}

/// Connects to the socket.
class UnixSocketProbe final : public FileProbe {
 public:
  UnixSocketProbe(const SocketPath& path, const Process& process)
      : FileProbe{process, path.abstract() ? std::string{} : path.str()}, path_{path} {}

  void wait(TimePoint now, WaitSet& waits) const override {
    using namespace std::chrono_literals;
    FileProbe::wait(now, waits);
    if (!refused_) return;
    // The socket is bound, and no event tells when it listens. Other changes may come all the time.
    const std::chrono::nanoseconds refused = now - changed_at();
    const auto least = process_.waited(now) / 4096;
    waits.until(after(
        now, std::clamp<std::chrono::nanoseconds>(std::max(refused / 32, least), 50us, 250ms)));
  }

 private:
  Readiness look(TimePoint) override {
    UniqueFd socket;
    const int error = connect_unix(path_, socket);
    refused_ = error == ECONNREFUSED && !path_.abstract();
    if (error == 0) return true;
    return not_ready(reason_text({error, std::generic_category()}));
  }

  const SocketPath& path_;
  bool refused_ = false;
};

}  // namespace detail

MIRAKURU_DECL std::unique_ptr<Probe> UnixSocketCheck::probe(const Process& process) const {
  return std::make_unique<detail::UnixSocketProbe>(path, process);
}

MIRAKURU_DECL bool UnixSocketCheck::already_true() const {
  detail::UniqueFd socket;
  const int error = detail::connect_unix(path, socket);
  return error == 0 || error == EAGAIN;  // the queue of somebody who listens may be full
}

[[gnu::cold]] MIRAKURU_DECL std::string UnixSocketCheck::describe_conflict() const {
  detail::UniqueFd socket;
  int type = SOCK_STREAM;
  socklen_t size = sizeof type;
  // already_true() has connected just now, and a busy listener may not have come to accept that
  // yet.
  const bool known = detail::connect_unix(path, socket, std::chrono::milliseconds{500}) == 0;
  if (known) ::getsockopt(socket.get(), SOL_SOCKET, SO_TYPE, &type, &size);
  const auto holder = known ? detail::holder_of(path, socket) : 0;
  return path.str() + (type == SOCK_DGRAM ? " is bound" : " answers") +
         (holder > 0 ? ", held by " + detail::describe_process(holder) : "");
}

}  // namespace mirakuru
