// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <cstdint>
#include <string>
#include <vector>

#include <mirakuru/net/listeners.hpp>
#include <mirakuru/os/config.hpp>

// Which process holds a socket. Few headers include this.

namespace mirakuru::detail {

/// A socket that a process of a tree listens on.
struct OwnListener {
  pid_t pid;
  ListenerEntry entry;
  bool elsewhere;  // in another network namespace
};

/// Finds the TCP sockets that a tree listens on.
///
/// While the kernel's table stays the same, a look costs two questions to it. The descriptors of
/// the tree are read when it has changed, and at each eighth look, as a descriptor may be passed
/// on. Rests on sock_diag(7), /proc/PID/fd, and /proc/PID/net/tcp for another network namespace.
class TreeListeners {
 public:
  /// `guardian`: the process above the tree; 0 for none.
  TreeListeners(pid_t leader, pid_t guardian) : leader_{leader}, guardian_{guardian} {}

  /// Each socket once, with the process that is closest to the leader.
  const std::vector<OwnListener>& look(Listeners& table);
  /// False if /proc has hidden descriptors of the tree from the last look.
  [[nodiscard]] bool complete() const noexcept { return complete_; }

 private:
  void read_descriptors();

  pid_t leader_, guardian_;
  std::vector<ListenerEntry> table_;
  std::vector<OwnListener> found_;
  unsigned looks_ = 0;
  bool complete_ = true;
  bool elsewhere_ = false;  // a process has another network, of which the table shows nothing
};

/// Says whose the sockets are that answer at an address.
struct ListenerOwner {
  enum class Kind { service, unknown, others } kind = Kind::unknown;
  std::string text = {};  ///< the processes; or why it is unknown
  std::vector<std::uint64_t> inodes = {};
};

/// Finds the owner of the listener at a local address. A socket that this process holds is the
/// service's, too: it may have handed it over, or be a part of the test. With the same sockets as
/// in `last` the answer is the same. All of /proc is read only if the tree does not hold it.
[[nodiscard]] ListenerOwner owner_of_listener(Listeners& table, const sockaddr* address,
                                              pid_t leader, pid_t guardian,
                                              const ListenerOwner& last = {});

/// The sockets that listen now, or those on a port. Rests on /proc/net/tcp if there is no table.
[[nodiscard]] std::vector<ListenerEntry> listeners_now(Listeners& table, std::uint16_t port = 0);

/// The processes of a tree, the leader first. Rests on /proc/PID/task/TID/children.
[[nodiscard]] std::vector<pid_t> processes_of(pid_t leader, pid_t guardian);

/// "user root", or "user 1000" for one that /etc/passwd does not have.
[[nodiscard]] std::string describe_user(std::uint32_t id);

/// "127.0.0.1:8080", "[::]:80".
[[nodiscard]] std::string text_of(const ListenerEntry& entry);

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/net/holders.ipp>
#endif
