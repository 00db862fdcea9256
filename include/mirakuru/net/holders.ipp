// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <arpa/inet.h>
#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include <mirakuru/net/address.hpp>
#include <mirakuru/net/holders.hpp>
#include <mirakuru/os/printable.hpp>
#include <mirakuru/os/proc.hpp>

namespace mirakuru::detail {

[[gnu::cold]] MIRAKURU_DECL std::string describe_user(std::uint32_t id) {
  const auto number = std::to_string(std::size_t{id});
  std::ifstream users{"/etc/passwd"};
  for (std::string line; std::getline(users, line);) {
    const auto name_end = line.find(':'), id_begin = line.find(':', name_end + 1);
    if (id_begin != std::string::npos &&
        line.compare(id_begin + 1, number.size() + 1, number + ':') == 0)
      return "user " + line.substr(0, name_end);
  }
  return "user " + number;
}

[[gnu::cold]] MIRAKURU_DECL std::string text_of(const ListenerEntry& entry) {
  char text[INET6_ADDRSTRLEN] = "";
  const auto* const v4 = &entry.address.s6_addr32[3];
  if (entry.is_v4)
    ::inet_ntop(AF_INET, v4, text, sizeof text);
  else
    ::inet_ntop(AF_INET6, &entry.address, text, sizeof text);
  return authority(text, entry.port);
}

/// The sockets that listen in the network of a process, or those on a port. Source:
/// proc_net_tcp(5).
[[gnu::cold]] inline std::vector<ListenerEntry> listeners_in_network_of(pid_t pid,
                                                                        std::uint16_t of_port = 0) {
  std::vector<ListenerEntry> entries;
  for (const char* table : {"/net/tcp", "/net/tcp6"}) {
    std::ifstream lines{"/proc/" + std::to_string(pid) + table};
    for (std::string line; std::getline(lines, line);) {
      unsigned port = 0, state = 0, user = 0;
      unsigned long inode = 0;
      char hex[33];
      constexpr unsigned listen = 0x0a;
      if (std::sscanf(line.c_str(), " %*u: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %u %*s %lu",
                      hex, &port, &state, &user, &inode) != 5 ||
          state != listen || (of_port != 0 && port != of_port))
        continue;
      ListenerEntry entry{.port = static_cast<std::uint16_t>(port), .user = user, .inode = inode};
      entry.is_v4 = std::string_view{hex}.size() == 8;
      if (entry.is_v4) entry.address.s6_addr32[2] = htonl(0xffff);
      // 32-bit words in the byte order of this machine.
      for (int i = 0; i < (entry.is_v4 ? 1 : 4); ++i)
        entry.address.s6_addr32[entry.is_v4 ? 3 : i] = static_cast<std::uint32_t>(
            std::strtoul(std::string{hex + 8 * i, 8}.c_str(), nullptr, 16));
      entries.push_back(entry);
    }
  }
  return entries;
}

MIRAKURU_DECL std::vector<ListenerEntry> listeners_now(Listeners& table, std::uint16_t port) {
  if (auto entries = table.all(port)) return *std::move(entries);
  return listeners_in_network_of(::getpid(), port);
}

/// Calls `visit(inode)` for each socket of a process until it returns false. False if /proc hides
/// its descriptors.
template <class Visit>
[[gnu::cold]] bool for_each_socket(pid_t pid, Visit visit) {
  const auto directory = "/proc/" + std::to_string(pid) + "/fd";
  const std::unique_ptr<DIR, int (*)(DIR*)> descriptors{::opendir(directory.c_str()), ::closedir};
  if (!descriptors)  // it is gone, or not to be seen
    return (errno == ENOENT || errno == ESRCH) && ::kill(pid, 0) != 0 && errno == ESRCH;
  while (const dirent* entry = ::readdir(descriptors.get())) {
    char target[64];
    constexpr std::string_view prefix = "socket:[";
    const auto size =
        ::readlinkat(::dirfd(descriptors.get()), entry->d_name, target, sizeof target - 1);
    if (size <= std::ssize(prefix)) continue;
    target[size] = '\0';
    if (std::string_view{target}.starts_with(prefix) &&
        !visit(std::strtoull(target + prefix.size(), nullptr, 10)))
      break;
  }
  return true;
}

/// The number of a process's network namespace; 0 if it cannot be told.
[[gnu::cold]] inline std::uint64_t network_of(pid_t pid) {
  struct stat status;
  return ::stat(("/proc/" + std::to_string(pid) + "/ns/net").c_str(), &status) == 0 ? status.st_ino
                                                                                    : 0;
}
[[gnu::cold]] inline bool has_other_network(pid_t pid) {
  const auto network = network_of(pid);
  return network != 0 && network != network_of(::getpid());
}

/// Adds the children of a process, by whichever thread. False if the kernel does not tell.
[[gnu::cold]] inline bool add_children(pid_t pid, std::vector<pid_t>& pids) {
  const auto tasks = "/proc/" + std::to_string(pid) + "/task/";
  const std::unique_ptr<DIR, int (*)(DIR*)> threads{::opendir(tasks.c_str()), ::closedir};
  bool told = false;
  while (const dirent* thread = threads ? ::readdir(threads.get()) : nullptr) {
    if (thread->d_name[0] == '.') continue;
    const UniqueFd file{::openat(::dirfd(threads.get()),
                                 (std::string{thread->d_name} + "/children").c_str(),
                                 O_RDONLY | O_CLOEXEC)};
    told |= static_cast<bool>(file);
    pid_t child = 0;
    char text[4096];
    for (ssize_t size; file && (size = ::read(file.get(), text, sizeof text)) > 0;)
      for (const char c : std::string_view{text, static_cast<std::size_t>(size)})
        if (c >= '0' && c <= '9')
          child = child * 10 + (c - '0');
        else if (child != 0)
          pids.push_back(std::exchange(child, 0));
  }
  return told;
}

[[gnu::cold]] MIRAKURU_DECL std::vector<pid_t> processes_of(pid_t leader, pid_t guardian) {
  std::vector<pid_t> pids;
  if (guardian == 0 || !add_children(guardian, pids)) {
    pids = process_tree(leader, guardian);
  } else {
    // Orphans are the guardian's. A process that moves up meanwhile may come twice, or not at all.
    constexpr std::size_t most = 100'000;
    for (std::size_t i = 0; i < pids.size() && pids.size() < most; ++i) add_children(pids[i], pids);
  }
  if (auto at = std::ranges::find(pids, leader); at != pids.end())
    for (; at != pids.begin(); --at) std::swap(*at, at[-1]);
  return pids;
}

MIRAKURU_DECL const std::vector<OwnListener>& TreeListeners::look(Listeners& table) {
  constexpr unsigned share = 8;
  auto now = listeners_now(table);
  const bool changed = now != table_;
  table_ = std::move(now);
  if (looks_++ % share == 0 || changed || elsewhere_) read_descriptors();
  return found_;
}

[[gnu::cold]] MIRAKURU_DECL void TreeListeners::read_descriptors() {
  found_.clear();
  elsewhere_ = false;
  complete_ = proc_is_own();
  if (!complete_) return;
  const auto own_network = network_of(::getpid());
  for (const pid_t pid : processes_of(leader_, guardian_)) {
    const auto network = network_of(pid);
    const bool elsewhere = network != 0 && network != own_network;
    elsewhere_ |= elsewhere;
    if (table_.empty() && !elsewhere) continue;
    const auto others = elsewhere ? listeners_in_network_of(pid) : std::vector<ListenerEntry>{};
    const auto& all = elsewhere ? others : table_;
    complete_ &= for_each_socket(pid, [&](std::uint64_t inode) {
      const auto entry = std::ranges::find(all, inode, &ListenerEntry::inode);
      const auto is_same = [inode](const OwnListener& own) { return own.entry.inode == inode; };
      if (entry != all.end() && std::ranges::none_of(found_, is_same))
        found_.push_back({pid, *entry, elsewhere});
      return true;
    });
  }
}

/// The processes outside the tree that hold the sockets, by socket; 0 for one that /proc hides.
[[gnu::cold]] inline std::vector<pid_t> holders_of(const std::vector<std::uint64_t>& inodes) {
  std::vector<pid_t> holders(inodes.size(), 0);
  for_each_pid([&](pid_t pid) {
    for_each_socket(pid, [&](std::uint64_t inode) {
      const auto at = std::ranges::find(inodes, inode) - inodes.begin();
      if (at < std::ssize(inodes) && holders[static_cast<std::size_t>(at)] == 0)
        holders[static_cast<std::size_t>(at)] = pid;
      return true;
    });
    return std::ranges::count(holders, 0) > 0;
  });
  return holders;
}

/// The sockets that a connection to the address may go to: the closest ones.
[[gnu::cold]] inline std::vector<ListenerEntry> closest_to(
    const in6_addr& mapped, const std::vector<ListenerEntry>& entries) {
  constexpr std::uint32_t loopback = SockDiag::loopback_interface;  // which local connections take
  std::vector<ListenerEntry> closest;
  for (const auto& entry : entries) {
    const auto distance = entry.distance_to(mapped);
    if (!distance || (entry.interface != 0 && entry.interface != loopback)) continue;
    if (!closest.empty() && distance < closest[0].distance_to(mapped)) closest.clear();
    if (closest.empty() || distance == closest[0].distance_to(mapped)) closest.push_back(entry);
  }
  return closest;
}

/// "pid 42 (nginx -p /tmp), pid 43 (nginx -p /tmp) and 2 more".
[[gnu::cold]] inline std::string describe_processes(const std::vector<pid_t>& holders) {
  constexpr std::size_t most = 3;
  constexpr pid_t none = std::numeric_limits<pid_t>::max();
  std::string text;
  std::size_t count = 0;
  for (pid_t last = 0, next; last != none; last = next) {  // each pid once, in order
    next = none;
    for (const pid_t pid : holders)
      if (pid > last && pid < next) next = pid;
    if (next != none && count++ < most) text += (text.empty() ? "" : ", ") + describe_process(next);
  }
  return count <= most ? text : text + " and " + std::to_string(count - most) + " more";
}

/// The owner of the sockets at an address. None if a socket has been closed meanwhile.
[[gnu::cold]] inline std::optional<ListenerOwner> look_for_owner(Listeners& table,
                                                                 const in6_addr& mapped,
                                                                 std::uint16_t port, pid_t leader,
                                                                 pid_t guardian,
                                                                 const ListenerOwner& last) {
  using enum ListenerOwner::Kind;
  const auto closest = closest_to(mapped, listeners_now(table, port));
  if (closest.empty()) return ListenerOwner{unknown, "the kernel's table has no listener there"};
  std::vector<std::uint64_t> inodes;
  for (const auto& entry : closest) inodes.push_back(entry.inode);
  if (inodes == last.inodes) return last;

  bool complete = proc_is_own();
  const auto holds = [&](pid_t pid) {
    bool found = false;
    complete &= for_each_socket(pid, [&](std::uint64_t inode) {
      found = std::ranges::count(inodes, inode) > 0;
      return !found;
    });
    return found;
  };
  const auto answer = [&](ListenerOwner::Kind kind, std::string text = {}) -> ListenerOwner {
    return {kind, std::move(text), inodes};
  };
  if (!complete) return answer(unknown, "/proc shows other processes");
  if (holds(::getpid()) || std::ranges::any_of(processes_of(leader, guardian), holds))
    return answer(service);
  if (has_other_network(leader)) return answer(unknown, "the command has another network");
  if (!complete) return answer(unknown, "/proc hides descriptors of the command");

  const auto holders = holders_of(inodes);
  // A process of the tree may have been made meanwhile.
  const auto tree_now = processes_of(leader, guardian);
  for (const pid_t holder : holders)
    if (holder != 0 && (std::ranges::count(tree_now, holder) > 0 || holder == guardian))
      return answer(service);
  const auto hidden = std::ranges::find(holders, 0) - holders.begin();
  if (hidden < std::ssize(holders)) {
    const auto now = listeners_now(table, port);
    if (std::ranges::count(now, inodes[static_cast<std::size_t>(hidden)], &ListenerEntry::inode) ==
        0)
      return {};
    return answer(unknown, "a process of " +
                               describe_user(closest[static_cast<std::size_t>(hidden)].user) +
                               " that /proc hides listens there");
  }
  return answer(others, describe_processes(holders));
}

[[gnu::cold]] MIRAKURU_DECL ListenerOwner owner_of_listener(Listeners& table,
                                                            const sockaddr* address, pid_t leader,
                                                            pid_t guardian,
                                                            const ListenerOwner& last) {
  using enum ListenerOwner::Kind;
  const auto mapped = mapped_address(address);
  if (!mapped) return {unknown, "the address is none of TCP"};
  // Most often it is the leader's, or the one of the last connection.
  if (const auto one = table.one_of(address)) {
    if (last.kind == service && last.inodes.size() == 1 && last.inodes[0] == one->inode)
      return last;
    bool found = false;
    for_each_socket(leader, [&](std::uint64_t inode) { return !(found = inode == one->inode); });
    if (found) return {service, {}, {one->inode}};
  }
  // The port has the same place in both structs.
  const auto port = ntohs(reinterpret_cast<const sockaddr_in*>(address)->sin_port);
  for (int tries = 0; tries < 3; ++tries)
    if (auto owner = look_for_owner(table, *mapped, port, leader, guardian, last))
      return *std::move(owner);
  return {unknown, "its sockets change all the time"};
}

}  // namespace mirakuru::detail
