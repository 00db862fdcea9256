// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <cstdint>
#include <string>
#include <vector>

#include <mirakuru/os/config.hpp>

namespace mirakuru {

/// A TCP socket that a process listens on.
struct ListeningSocket {
  pid_t pid;            ///< of several processes that hold it, the one closest to the leader
  std::string address;  ///< with the port: "127.0.0.1:8080", "[::]:80"
  std::uint16_t port;
};

namespace detail {

/// The TCP sockets that the processes of a tree listen on, each once, by port and address.
/// `complete` is false if /proc hides a part. Rests on sock_diag(7) and /proc/PID/fd.
[[nodiscard]] std::vector<ListeningSocket> listening_sockets(pid_t leader, pid_t guardian,
                                                             bool& complete);

/// Tells on which ports the tree listens: "it listens on 127.0.0.1:8080 (pid 7)". Empty if one is
/// `port` at `host` (empty: any address), or if /proc hides all.
[[nodiscard]] std::string listening_advice(pid_t leader, pid_t guardian, const std::string& host,
                                           std::uint16_t port);

/// "127.0.0.1:8080 (pid 7), [::]:80 (pid 8)".
[[nodiscard]] std::string text_of(const std::vector<ListeningSocket>& sockets);

/// The process that listens on a local TCP port, as "pid 42 (nginx -p /tmp)". "a process of user
/// root" if /proc hides it, as it hides other users' processes. Empty if nobody does. `host` may be
/// empty, for any address. Rests on sock_diag(7) and /proc/PID/fd.
[[nodiscard]] std::string who_listens(const std::string& host, std::uint16_t port);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/net/ports.ipp>
#endif
