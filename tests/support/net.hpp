// SPDX-License-Identifier: BSL-1.0
// Free ports, and a look at them without the library under test.

#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "files.hpp"
#include "time.hpp"

namespace test {

/// A socket and the address that it is for.
class Endpoint {
 public:
  /// `host` is a numeric address.
  Endpoint(const std::string& host, int port) {
    v4_.sin_family = AF_INET;
    v6_.sin6_family = AF_INET6;
    v4_.sin_port = v6_.sin6_port = htons(static_cast<std::uint16_t>(port));
    is_v4_ = inet_pton(AF_INET, host.c_str(), &v4_.sin_addr) == 1;
    if (!is_v4_ && inet_pton(AF_INET6, host.c_str(), &v6_.sin6_addr) != 1)
      throw std::invalid_argument{"not a numeric address: " + host};
    fd_ = socket(is_v4_ ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  }
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;
  ~Endpoint() {
    if (fd_ >= 0) close(fd_);
  }

  int fd() const { return fd_; }
  bool connect() const { return ::connect(fd_, address(), size()) == 0; }

  /// True also where the system has no such addresses at all. With `remembered` the port may have
  /// connections that are over and that the kernel still remembers.
  bool can_bind(bool remembered = true) const {
    if (fd_ < 0) return true;
    const int yes = 1;
    if (remembered) setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (!is_v4_) setsockopt(fd_, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
    return bind(fd_, address(), size()) == 0 || errno == EADDRNOTAVAIL;
  }

 private:
  const sockaddr* address() const {
    return is_v4_ ? reinterpret_cast<const sockaddr*>(&v4_)
                  : reinterpret_cast<const sockaddr*>(&v6_);
  }
  socklen_t size() const { return is_v4_ ? sizeof v4_ : sizeof v6_; }

  sockaddr_in v4_{};
  sockaddr_in6 v6_{};
  bool is_v4_ = true;
  int fd_ = -1;
};

/// Ports below the range that the system hands out by itself, in parts. A process takes a part for
/// itself alone, until it ends: by a socket with the part's name.
class PortParts {
 public:
  static constexpr int first = 10000, size = 40, count = 550;

  PortParts() { take(); }
  /// The next port of this process. It may be in use by others than tests.
  int next() {
    if (left_ == 0) take();
    return first + part_ * size + --left_;
  }

 private:
  void take() {
    for (int tries = 0; tries < count; ++tries) {
      part_ = (part_ + 1) % count;
      sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};
      const int length = std::snprintf(name.sun_path + 1, sizeof name.sun_path - 1,
                                       "mirakuru tests: ports %d", first + part_ * size);
      const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (bind(fd, reinterpret_cast<const sockaddr*>(&name),
               static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1) +
                   static_cast<socklen_t>(length)) == 0) {
        left_ = size;
        return;
      }
      close(fd);
    }
    throw std::runtime_error{"no free part of the ports"};
  }

  int part_ = static_cast<int>(getpid() % count), left_ = 0;
};
// Taken before main(), as tests count descriptors.
inline PortParts port_parts;

/// A port that is free on every address of this machine, and that the kernel remembers no
/// connection of; a different one with each call.
inline int free_port() {
  for (int tries = 0; tries < PortParts::size * PortParts::count; ++tries) {
    const int port = port_parts.next();
    if (Endpoint{"0.0.0.0", port}.can_bind(false) && Endpoint{"::", port}.can_bind(false))
      return port;
  }
  throw std::runtime_error{"no free port"};
}

/// One blocking connect; `host` is a numeric address, or localhost for either of its two.
inline bool connects(const std::string& host, int port) {
  if (host == "localhost") return connects("127.0.0.1", port) || connects("::1", port);
  return Endpoint{host, port}.connect();
}

/// True if this machine has ::1; else it prints that a test is skipped.
inline bool has_ipv6() {
  // The loopback address, on any interface.
  if (slurp("/proc/net/if_inet6").find(std::string(31, '0') + '1') != std::string::npos)
    return true;
  std::puts("skipped: this machine has no ::1");
  return false;
}

/// A host as URLs have it: IPv6 addresses in brackets.
inline std::string url_host(const std::string& host) {
  return host.find(':') == host.npos ? host : "[" + host + "]";
}

/// The first status code of the answer to a request (100 too); 0 when there is none within two
/// seconds.
inline int http_get(int port, const std::string& target, const std::string& method = "GET",
                    const std::string& host = "127.0.0.1") {
  const Elapsed elapsed;
  const Endpoint server{host, port};
  const timeval limit{2, 0};
  setsockopt(server.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(server.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (!server.connect()) return 0;
  const std::string request = method + " " + target + " HTTP/1.1\r\nHost: " + url_host(host) + ":" +
                              std::to_string(port) + "\r\nConnection: close\r\n\r\n";
  if (send(server.fd(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return 0;
  std::string answer;
  while (answer.find('\n') == answer.npos && elapsed < std::chrono::seconds{2}) {
    char buffer[4096];
    const ssize_t n = recv(server.fd(), buffer, sizeof buffer, 0);
    if (n <= 0) break;
    answer.append(buffer, static_cast<std::size_t>(n));
  }
  int status = 0;
  if (std::sscanf(answer.c_str(), "HTTP/1.%*[01] %3d", &status) != 1) return 0;
  return status;
}

/// A free port in the forms that tests write it.
class Port {
 public:
  int number() const { return number_; }
  std::string str() const { return std::to_string(number_); }
  std::string url(const std::string& target = "/", const std::string& host = "127.0.0.1") const {
    return "http://" + url_host(host) + ":" + str() + target;
  }

 private:
  int number_ = free_port();
};

}  // namespace test
