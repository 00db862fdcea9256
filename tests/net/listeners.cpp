// SPDX-License-Identifier: BSL-1.0
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/net/holders.hpp>
#include <mirakuru/net/listeners.hpp>

#include "child.hpp"
#include "net.hpp"
#include "process.hpp"

namespace mk = mirakuru;
using mk::detail::Listeners;
using mk::detail::UniqueFd;

namespace {

/// An address with a port, as system calls take it.
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

/// A socket bound to the address. Empty if the system does not have this address.
UniqueFd bound(const Address& address, bool v6only = false, const char* device = "") {
  UniqueFd fd{::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const int only = v6only, yes = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
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
  if (fd && ::listen(fd.get(), 64) != 0) fd.reset();
  return fd;
}

/// True if the kernel answers questions about a listening port. In some sandboxes it does not.
bool table_is_there() {
  const auto listener = listening({"127.0.0.1", test::free_port()});
  sockaddr_in own{};
  socklen_t size = sizeof own;
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&own), &size);
  struct {
    nlmsghdr header;
    inet_diag_req_v2 request;
  } question{};
  question.header.nlmsg_len = sizeof question;
  question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.request.sdiag_family = AF_INET;
  question.request.sdiag_protocol = IPPROTO_TCP;
  question.request.id.idiag_sport = own.sin_port;
  std::memcpy(question.request.id.idiag_src, &own.sin_addr, sizeof own.sin_addr);
  std::memset(question.request.id.idiag_cookie, 0xff, sizeof question.request.id.idiag_cookie);
  const UniqueFd fd{::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)};
  nlmsghdr answer{};
  return ::send(fd.get(), &question, sizeof question, 0) > 0 &&
         ::recv(fd.get(), &answer, sizeof answer, 0) > 0 &&
         answer.nlmsg_type == SOCK_DIAG_BY_FAMILY;
}

bool raise_loopback() {
  const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM, 0)};
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  return ::ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0;
}

/// Attempts of a check.
class Probe {
 public:
  explicit Probe(const char* host) : check_{host, test::free_port()} {}

  int port() const { return check_.port; }
  std::optional<mk::Readiness> attempt() { return poll(*probe_); }
  bool holds() { return said_yes(attempt()); }
  void begin_another_start() { probe_ = check_.probe(process_); }
  bool looks() { return said_yes(poll(*check_.precheck())); }

 private:
  static bool said_yes(const std::optional<mk::Readiness>& answer) { return answer && *answer; }
  static std::optional<mk::Readiness> poll(mk::Probe& probe) {
    auto answer = probe.poll(mk::detail::Clock::now());
    return probe.pending() ? std::nullopt : std::optional{std::move(answer)};
  }

  mk::TCPCheck check_;
  mk::OutputStreams streams_;
  mk::Process process_{::getpid(), streams_};
  std::unique_ptr<mk::Probe> probe_ = check_.probe(process_);
};

}  // namespace

TEST_CASE("Listeners: the table contains the listening sockets, and no others") {
  if (!table_is_there()) return;
  Listeners listeners;
  const int port = test::free_port();
  const Address v4{"127.0.0.1", port}, v6{"::1", port};
  CHECK(listeners.none_at(v4.data()));
  {
    const auto fd = bound(v4);
    REQUIRE(fd);
    CHECK(listeners.none_at(v4.data()));  // bound, but not listening
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

TEST_CASE("Listeners: all sockets that listen, of both families, with their facts") {
  if (!table_is_there()) return;
  Listeners listeners;
  const int port = test::free_port();
  const auto number = static_cast<std::uint16_t>(port);
  const auto here = [&] { return listeners.all(number).value(); };
  const auto inode_of = [](const UniqueFd& fd) {
    struct stat status;
    ::fstat(fd.get(), &status);
    return status.st_ino;
  };
  CHECK(here().empty());
  const auto v4 = listening({"127.0.0.1", port});
  REQUIRE(v4);
  REQUIRE(here().size() == 1);
  const auto entry = here().front();
  CHECK(entry.port == number);
  CHECK(entry.inode == inode_of(v4));
  CHECK(entry.user == ::geteuid());
  CHECK(entry.is_v4);
  CHECK(entry.interface == 0);
  CHECK(text_of(entry) == "127.0.0.1:" + std::to_string(port));
  const auto all = listeners.all().value();
  CHECK(std::count(all.begin(), all.end(), entry) == 1);
  CHECK(listeners.one_of(Address{"127.0.0.1", port}.data()) == entry);
  CHECK_FALSE(listeners.one_of(Address{"127.0.0.2", port}.data()));
  if (const auto v6 = listening({"::", port}, true)) {
    REQUIRE(here().size() == 2);
    const auto both = here();
    const auto& other = both[both[0].is_v4 ? 1 : 0];
    CHECK(other.v6_only);
    CHECK(other.inode == inode_of(v6));
    CHECK(text_of(other) == "[::]:" + std::to_string(port));
    CHECK(listeners.one_of(Address{"::1", port}.data()) == other);
  }
}

TEST_CASE("Listeners: a list of many sockets is complete") {
  if (!table_is_there()) return;
  Listeners listeners;
  std::vector<UniqueFd> sockets;
  const auto before = listeners.all().value().size();
  constexpr std::size_t many = 400;  // more than one message of the kernel holds
  for (std::size_t i = 0; i < many; ++i) sockets.push_back(listening({"127.0.0.1", 0}));
  CHECK(listeners.all().value().size() >= before + many - 20);  // others may have gone
  sockets.clear();
  CHECK(listeners.all().value().size() < before + many / 2);
}

TEST_CASE("ListenerEntry: the distance is the kernel's own order") {
  const auto entry = [](const char* host, bool v6only = false) {
    mk::detail::ListenerEntry result{.v6_only = v6only, .port = 80};
    const Address address{host, 80};
    result.is_v4 = address.family() == AF_INET;
    if (const auto* const v4 = reinterpret_cast<const sockaddr_in*>(address.data()); result.is_v4) {
      result.address.s6_addr32[2] = htonl(0xffff);
      result.address.s6_addr32[3] = v4->sin_addr.s_addr;
    } else {
      result.address = reinterpret_cast<const sockaddr_in6*>(address.data())->sin6_addr;
    }
    return result;
  };
  const auto mapped = [](const char* host) {
    return mk::detail::mapped_address(Address{host, 80}.data()).value();
  };
  const auto v4 = mapped("127.0.0.1"), v6 = mapped("::1");
  CHECK(entry("127.0.0.1").distance_to(v4) == 0);
  CHECK(entry("::ffff:127.0.0.1").distance_to(v4) == 1);
  CHECK(entry("0.0.0.0").distance_to(v4) == 2);
  CHECK(entry("::").distance_to(v4) == 3);
  CHECK_FALSE(entry("::", true).distance_to(v4));
  CHECK_FALSE(entry("127.0.0.2").distance_to(v4));
  CHECK_FALSE(entry("::1").distance_to(v4));
  CHECK(entry("::1").distance_to(v6) == 0);
  CHECK(entry("::", true).distance_to(v6) == 2);
  CHECK_FALSE(entry("0.0.0.0").distance_to(v6));
  // A connection to all addresses goes to loopback.
  CHECK(entry("127.0.0.1").distance_to(mapped("0.0.0.0")) == 0);
  CHECK(entry("::1").distance_to(mapped("::")) == 0);
}

TEST_CASE("Listeners: outside loopback nothing is known") {
  Listeners listeners;
  const int port = test::free_port();
  for (const char* host : {"0.0.0.0", "192.0.2.1", "::", "::ffff:127.0.0.1", "2001:db8::1"})
    CHECK_FALSE(listeners.none_at(Address{host, port}.data()));
}

TEST_CASE("Listeners: without the table nothing is known, and no descriptor stays open") {
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

TEST_CASE("TCPCheck: the last descriptor goes to a connection, not to the table") {
  if (!table_is_there()) return;
  CHECK(test::in_child([] {
          Probe probe{"127.0.0.1"};
          if (probe.holds() || probe.holds()) return false;  // the table has a descriptor now
          const auto fd = listening({"127.0.0.1", probe.port()});
          const UniqueFd next{::dup(0)};
          const auto limit = static_cast<rlim_t>(next.get());
          const rlimit full{.rlim_cur = limit, .rlim_max = limit};
          return fd && ::setrlimit(RLIMIT_NOFILE, &full) == 0 && probe.holds();
        }) == 0);
}

// The socket of the table belongs to the network namespace in which it was opened. So the tests
// hide a listener from the table by a new namespace; the check finds it all the same.

TEST_CASE("TCPCheck: each seventh attempt connects although the table has no listener") {
  if (!table_is_there()) return;
  for (const char* host : {"127.0.0.1", "::1", "localhost"}) {
    CAPTURE(host);
    CHECK(test::in_child([=] {
            if (::unshare(CLONE_NEWNET) != 0 || !raise_loopback()) return true;  // not allowed here
            Probe probe{host};
            if (probe.holds() || probe.holds()) return false;
            if (::unshare(CLONE_NEWNET) != 0 || !raise_loopback()) return false;
            const auto fd = listening({*host == ':' ? "::1" : "127.0.0.1", probe.port()});
            for (int attempt = 2; attempt < 7; ++attempt)
              if (probe.holds()) return false;
            // From here on the check knows that the port has a listener.
            return fd && probe.holds() && probe.holds() && probe.holds();
          }) == 0);
  }
}

TEST_CASE("TCPCheck: the look before the start and the first attempt connect") {
  if (!table_is_there()) return;
  CHECK(test::in_child([] {
          if (::unshare(CLONE_NEWNET) != 0 || !raise_loopback()) return true;  // not allowed here
          Probe one{"127.0.0.1"}, other{"127.0.0.1"};
          if (one.looks() || one.holds() || one.holds() || one.looks()) return false;
          if (::unshare(CLONE_NEWNET) != 0 || !raise_loopback()) return false;
          const auto of_one = listening({"127.0.0.1", one.port()});
          const auto of_other = listening({"127.0.0.1", other.port()});
          return of_one && one.looks() && of_other && other.holds();
        }) == 0);
  CHECK(test::in_child([] {
          if (::unshare(CLONE_NEWNET) != 0 || !raise_loopback()) return true;
          Probe probe{"127.0.0.1"};
          if (probe.holds() || probe.holds() || probe.looks()) return false;
          probe.begin_another_start();
          if (::unshare(CLONE_NEWNET) != 0 || !raise_loopback()) return false;
          const auto fd = listening({"127.0.0.1", probe.port()});
          return fd && probe.holds();
        }) == 0);
}

TEST_CASE("TCPCheck: the table hides no reason") {
  CHECK(test::in_child([] {
          if (::unshare(CLONE_NEWNET) != 0) return true;  // not allowed here; no interface is up
          Probe probe{"127.0.0.1"};
          const auto first = probe.attempt(), second = probe.attempt();
          return first && first->reason() == "network is unreachable" && second && !*second &&
                 (second->reason().empty() || second->reason() == first->reason());
        }) == 0);
}
