// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/socket.h>
#include <sys/time.h>

#include <mirakuru/error.hpp>
#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/ready/file/file_probe.hpp>
#include <mirakuru/ready/net/unix_socket.hpp>

namespace mirakuru {

namespace detail {

/// Connects to the socket; an errno value when it cannot, EAGAIN when `patience` has run out and
/// the listener's queue is full. The connection is closed with `socket`.
inline int connect_unix(const SocketPath& path, UniqueFd& socket,
                        std::chrono::microseconds patience = {}) {
  const auto endpoint = path.endpoint();
  // For a Unix socket a connect that does not block has succeeded or failed when it returns.
  const int mode = patience == patience.zero() ? SOCK_NONBLOCK : 0;
  socket = UniqueFd{::socket(AF_UNIX, SOCK_STREAM | mode | SOCK_CLOEXEC, 0)};
  const timeval limit{.tv_sec = 0, .tv_usec = patience.count()};
  if (mode == 0) ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const bool connected = socket && ::connect(socket.get(), endpoint.data(), endpoint.size) == 0;
  return connected ? 0 : errno;
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

MIRAKURU_DECL std::string UnixSocketCheck::describe_conflict() const {
  detail::UniqueFd socket;
  ucred peer{};
  socklen_t size = sizeof peer;
  // already_true() has connected just now, and a busy listener may not have come to accept that
  // yet.
  const bool known = detail::connect_unix(path, socket, std::chrono::milliseconds{500}) == 0 &&
                     ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
                     peer.pid > 0;
  return path.str() + " answers" + (known ? ", held by " + detail::describe_process(peer.pid) : "");
}

}  // namespace mirakuru
