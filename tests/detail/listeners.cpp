// SPDX-License-Identifier: BSL-1.0
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "child.hpp"
#include "support.hpp"

namespace mk = mirakuru;
using mk::detail::Listeners;
using mk::detail::UniqueFd;

namespace {

/// An address of a port, as the system calls take it.
class Address {
 public:
  Address(const char* host, int port) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage_);
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage_);
    if (::inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
      v4.sin_family = AF_INET;
      v4.sin_port = htons(static_cast<std::uint16_t>(port));
    } else {
      ::inet_pton(AF_INET6, host, &v6.sin6_addr);
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(static_cast<std::uint16_t>(port));
    }
  }
  int family() const { return storage_.ss_family; }
  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const {
    return family() == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  }

 private:
  sockaddr_storage storage_ = {};
};

/// Bound there; empty where the system has no such address.
UniqueFd bound(const Address& address, bool v6only = false, const char* device = "") {
  UniqueFd fd{::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const int only = v6only;
  if (address.family() == AF_INET6)
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
  const bool on_device =
      *device == '\0' || ::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, device,
                                      static_cast<socklen_t>(std::strlen(device))) == 0;
  if (!fd || !on_device || ::bind(fd.get(), address.data(), address.size()) != 0) return {};
  return fd;
}

UniqueFd listening(const Address& address, bool v6only = false, const char* device = "") {
  auto fd = bound(address, v6only, device);
  if (fd && ::listen(fd.get(), 1) != 0) fd.reset();
  return fd;
}

/// Some sandboxes do not have it.
bool table_is_there() {
  return static_cast<bool>(UniqueFd{::socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG)});
}

bool raise_loopback() {
  const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM, 0)};
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  return ::ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0;
}

}  // namespace

TEST_CASE("the kernel's table has who listens, and nobody else") {
  if (!table_is_there()) return;
  Listeners listeners;
  const int port = test::free_port();
  const Address v4{"127.0.0.1", port}, v6{"::1", port};
  CHECK(listeners.none_at(v4.data()));
  {
    const auto fd = bound(v4);
    REQUIRE(fd);
    CHECK(listeners.none_at(v4.data()));  // nobody listens yet
    REQUIRE(::listen(fd.get(), 1) == 0);
    CHECK_FALSE(listeners.none_at(v4.data()));
    CHECK(listeners.none_at(v6.data()));
    CHECK(listeners.none_at(Address{"127.0.0.2", port}.data()));
    CHECK(listeners.none_at(Address{"127.0.0.1", test::free_port()}.data()));
  }
  CHECK(listeners.none_at(v4.data()));
  {
    const auto fd = listening({"0.0.0.0", port});
    REQUIRE(fd);
    CHECK_FALSE(listeners.none_at(v4.data()));
    CHECK_FALSE(listeners.none_at(Address{"127.9.9.9", port}.data()));
    CHECK(listeners.none_at(v6.data()));
  }
  if (const auto fd = listening({"::", port})) {
    CHECK_FALSE(listeners.none_at(v4.data()));
    CHECK_FALSE(listeners.none_at(v6.data()));
  }
  if (const auto fd = listening({"::", port}, true)) {
    CHECK(listeners.none_at(v4.data()));
    CHECK_FALSE(listeners.none_at(v6.data()));
  }
  if (const auto fd = listening({"0.0.0.0", port}, false, "lo"))
    CHECK_FALSE(listeners.none_at(v4.data()));
}

TEST_CASE("of addresses that are not those of loopback nothing is known") {
  Listeners listeners;
  const int port = test::free_port();
  for (const char* host : {"0.0.0.0", "192.0.2.1", "::", "::ffff:127.0.0.1", "2001:db8::1"})
    CHECK_FALSE(listeners.none_at(Address{host, port}.data()));
}

TEST_CASE("where the table cannot be had nothing is known, and nothing is left open") {
  CHECK(test::in_child([] {
          Listeners listeners;
          const Address nobody{"127.0.0.1", test::free_port()};
          const rlimit none{.rlim_cur = 0, .rlim_max = 0};
          return ::setrlimit(RLIMIT_NOFILE, &none) == 0 && !listeners.none_at(nobody.data()) &&
                 !listeners.none_at(nobody.data());
        }) == 0);
  const auto before = test::open_fds();
  static_cast<void>(Listeners{}.none_at(Address{"127.0.0.1", test::free_port()}.data()));
  CHECK(test::open_fds() == before);
}

TEST_CASE("whom the table does not have is found all the same, at each eighth attempt") {
  // The table asked stays that of the network namespace in which it has been opened.
  CHECK(test::in_child([] {
          if (::unshare(CLONE_NEWNET) != 0 || !raise_loopback()) return true;  // not allowed here
          const mk::TCPCheck check{"127.0.0.1", test::free_port()};
          const mk::OutputStreams streams;
          const mk::Process process{::getpid(), streams};
          mk::detail::Race race;
          const auto holds = [&] {
            const auto answer = mk::detail::enter(race, &check, process).answer;
            return answer && *answer;
          };
          if (holds() || holds()) return false;
          if (::unshare(CLONE_NEWNET) != 0 || !raise_loopback()) return false;
          const auto fd = listening({"127.0.0.1", check.port});
          int found = 0;
          for (int attempt = 0; attempt < 16; ++attempt) found += holds();
          return fd && (found == 2 || !table_is_there());
        }) == 0);
}
