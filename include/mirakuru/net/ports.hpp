// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <cstdint>
#include <string>
#include <vector>

#include <mirakuru/os/config.hpp>

namespace mirakuru::detail {

/// A TCP socket that a process listens on.
struct ListeningSocket {
  pid_t pid;
  std::string address;  ///< "127.0.0.1:8080", "[::]:80"
  std::uint16_t port;
};

/// The TCP sockets that these processes listen on, each once. `complete` is false if /proc hides a
/// part. Rests on /proc/PID/net/tcp, /proc/PID/net/tcp6 and /proc/PID/fd.
[[nodiscard]] std::vector<ListeningSocket> listening_sockets(const std::vector<pid_t>& pids,
                                                             bool& complete);

/// Tells on which ports these processes listen: "it listens on 127.0.0.1:8080 (pid 7)". Empty if
/// one is `port` at `host`, if there is no process, or if /proc hides all.
[[nodiscard]] std::string listening_advice(const std::vector<pid_t>& pids, const std::string& host,
                                           std::uint16_t port);

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/net/ports.ipp>
#endif
