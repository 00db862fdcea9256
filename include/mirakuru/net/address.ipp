// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <arpa/inet.h>
#include <fstream>
#include <stdexcept>
#include <vector>

#include <mirakuru/net/address.hpp>
#include <mirakuru/os/printable.hpp>
#include <mirakuru/os/proc.hpp>

namespace mirakuru {

namespace detail {

/// True for a text that a resolver may know: RFC 1035, 2.3.4, with underscores, and with characters
/// beyond ASCII as they are.
inline bool is_host_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  bool digits = true, ascii = true;
  std::size_t label = 0;
  for (const char c : name) {
    if (c == '.' && label == 0) return false;
    label = c == '.' ? 0 : label + 1;
    digits &= is_digit(c) || c == '.';
    ascii &= !is_beyond_ascii(c);
    if (!is_word(c) && c != '-' && c != '.' && !is_beyond_ascii(c)) return false;
    if (ascii && label > 63) return false;
  }
  // Blanks and marks of direction, which nobody sees in a name.
  for (const std::string_view odd :
       {"\xc2\xa0", "\xc2\xad", "\xe3\x80\x80", "\xef\xbb\xbf", "\xe2\x80", "\xe2\x81"})
    if (name.find(odd) != std::string_view::npos) return false;
  in_addr parsed{};
  // A short form like 127.1 is an address, too.
  return label > 0 && name.size() <= 253 &&
         (!digits || ::inet_aton(std::string{name}.c_str(), &parsed) != 0);
}

}  // namespace detail

MIRAKURU_DECL Host::Host(std::string name) : name_{std::move(name)} {
  const bool bracketed = name_.size() > 2 && name_.front() == '[' && name_.back() == ']';
  if (bracketed) name_ = name_.substr(1, name_.size() - 2);
  in6_addr parsed{};
  const bool colon = name_.find(':') != std::string::npos;
  const auto zone = name_.find('%');
  const bool odd_zone =
      zone != std::string::npos &&
      (zone + 1 == name_.size() ||
       std::any_of(name_.begin() + static_cast<std::ptrdiff_t>(zone), name_.end(), [](char c) {
         return !detail::is_graphic(c) ||
                std::string_view{"/[]@"}.find(c) != std::string_view::npos;
       }));
  const bool is_v6 =
      colon && !odd_zone && ::inet_pton(AF_INET6, name_.substr(0, zone).c_str(), &parsed) == 1;
  if (!is_v6 && (bracketed || !detail::is_host_name(name_)))
    throw std::invalid_argument{"not a host name or an address: '" + detail::one_line(name_) + "'"};
}

MIRAKURU_DECL std::uint16_t Port::checked(long long number) {
  if (number < 0 || number > 65535)
    throw std::invalid_argument{"a port is 0 to 65535, not " + std::to_string(number)};
  return static_cast<std::uint16_t>(number);
}

namespace detail {

MIRAKURU_DECL std::string authority(const std::string& host, std::uint16_t port) {
  const bool is_v6 = host.find(':') != std::string::npos;
  return (is_v6 ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

/// The local addresses whose listener answers for `host`, the closest first. Empty for a name.
/// Each is as /proc/net/tcp and tcp6 print it: 32-bit words in host byte order.
inline std::vector<std::string> listening_addresses(const std::string& host) {
  std::vector<std::string> addresses;
  const auto add = [&addresses](int family, const std::string& text) {
    in6_addr address{};  // large enough for both families
    if (::inet_pton(family, text.c_str(), &address) != 1) return false;
    addresses.emplace_back();
    for (int i = 0; i < (family == AF_INET ? 1 : 4); ++i) {
      char hex[9];
      std::snprintf(hex, sizeof hex, "%08X", address.s6_addr32[i]);
      addresses.back() += hex;
    }
    return true;
  };
  const bool localhost = is_localhost(host);
  const std::string v4 = localhost ? "127.0.0.1" : host;
  if (add(AF_INET, v4)) {
    add(AF_INET6, "::ffff:" + v4);
    add(AF_INET, "0.0.0.0");
  }
  add(AF_INET6, localhost ? "::1" : host.substr(0, host.find('%')));
  if (!addresses.empty()) add(AF_INET6, "::");
  return addresses;
}

/// "user root", or "user 1000" for one that /etc/passwd does not have.
inline std::string describe_user(unsigned uid) {
  std::ifstream users{"/etc/passwd"};
  for (std::string line; std::getline(users, line);) {
    const auto name_end = line.find(':'), id = line.find(':', name_end + 1);
    if (id == std::string::npos ||
        line.compare(id + 1, std::to_string(uid).size() + 1, std::to_string(uid) + ':') != 0)
      continue;
    return "user " + line.substr(0, name_end);
  }
  return "user " + std::to_string(uid);
}

/// The sockets that listen on `port` for `host`, as "socket:[INODE]", and the user of the last one.
/// Source: proc_net_tcp(5).
inline std::vector<std::string> listening_inodes(const std::string& host, std::uint16_t port,
                                                 unsigned& user) {
  const auto addresses = listening_addresses(host);
  std::size_t closest = addresses.size();
  std::vector<std::string> inodes;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream lines{table};
    for (std::string line; std::getline(lines, line);) {
      unsigned local = 0, state = 0, uid = 0;
      unsigned long inode = 0;
      char address[33];
      constexpr unsigned listen = 0x0a;
      if (std::sscanf(line.c_str(), " %*u: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %u %*s %lu",
                      address, &local, &state, &uid, &inode) != 5 ||
          local != port || state != listen)
        continue;
      const auto rank = static_cast<std::size_t>(
          std::find(addresses.begin(), addresses.end(), address) - addresses.begin());
      if (rank > closest || (rank == addresses.size() && !addresses.empty())) continue;
      if (rank < closest) inodes.clear();
      closest = rank;
      user = uid;
      inodes.push_back("socket:[" + std::to_string(inode) + ']');
    }
  }
  return inodes;
}

MIRAKURU_DECL std::string who_listens(const std::string& host, std::uint16_t port) {
  unsigned user = 0;
  const auto inodes = listening_inodes(host, port, user);
  if (inodes.empty()) return {};
  std::string found = "a process of " + one_line(describe_user(user)) + " that /proc hides";
  for_each_pid([&](pid_t pid) {
    const auto directory = "/proc/" + std::to_string(pid) + "/fd/";
    const std::unique_ptr<DIR, int (*)(DIR*)> descriptors{::opendir(directory.c_str()), ::closedir};
    if (!descriptors) return true;
    while (const dirent* entry = ::readdir(descriptors.get())) {
      char target[64];
      const auto size = ::readlink((directory + entry->d_name).c_str(), target, sizeof target);
      const std::string socket(target, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
      if (std::find(inodes.begin(), inodes.end(), socket) == inodes.end()) continue;
      found = describe_process(pid);
      return false;
    }
    return true;
  });
  return found;
}

}  // namespace detail
}  // namespace mirakuru
