// SPDX-License-Identifier: BSL-1.0
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/net/holders.hpp>

#include "child.hpp"
#include "errors.hpp"
#include "net.hpp"
#include "process.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using mk::detail::known_endpoints;
using mk::detail::ListenerOwner;
using mk::detail::Listeners;
using mk::detail::owner_of_listener;
using mk::detail::processes_of;
using mk::detail::TreeListeners;
using mk::detail::UniqueFd;
using enum ListenerOwner::Kind;

namespace {

using Server = mk::Executor<mk::TCPCheck>;

/// A server that has chosen its port.
Server server(const std::string& host = "127.0.0.1", const std::string& port = "0") {
  return Server{test::helper("listen", host, port), mk::TCPCheck{host, 0}, test::in_time}.start();
}

/// A socket of this process that listens on 127.0.0.1 with SO_REUSEPORT; port 0 is any.
UniqueFd shared_listener(std::uint16_t port = 0) {
  UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const int yes = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
  const auto address = known_endpoints("127.0.0.1", port).front();
  REQUIRE(::bind(fd.get(), address.data(), address.size) == 0);
  REQUIRE(::listen(fd.get(), 8) == 0);
  return fd;
}
std::uint16_t port_of(const UniqueFd& fd) {
  mk::detail::Endpoint own{.size = sizeof(sockaddr_storage)};
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own.address), &own.size);
  return own.port();
}

ListenerOwner owner_at(std::uint16_t port, pid_t leader, const ListenerOwner& last = {}) {
  Listeners table;
  const auto address = known_endpoints("127.0.0.1", port).front();
  return owner_of_listener(table, address.data(), leader, test::parent_of(leader), last);
}

}  // namespace

TEST_CASE("processes_of: the leader, then all that is below the guardian") {
  mk::Executor tree{mk::Shell{"sleep 60 & (setsid sleep 60 & wait) & wait"}};
  const pid_t leader = tree.start().pid(), guardian = test::parent_of(leader);
  CHECK(test::eventually([&] { return processes_of(leader, guardian).size() == 4; }));
  const auto pids = processes_of(leader, guardian);
  CHECK(pids.front() == leader);
  for (const pid_t pid : pids) CHECK(test::alive(pid));
  CHECK(std::ranges::count(pids, guardian) == 0);
  CHECK(std::ranges::count(pids, ::getpid()) == 0);
}

TEST_CASE("TreeListeners: a look finds a socket that the tree listens on since the last one") {
  auto one = server();
  Listeners table;
  const pid_t leader = one.pid();
  TreeListeners tree{leader, test::parent_of(leader)};
  REQUIRE(tree.look(table).size() == 1);
  CHECK(tree.complete());
  CHECK(tree.look(table).front().pid == leader);
  CHECK(tree.look(table).front().entry.port == one.port());
  CHECK_FALSE(tree.look(table).front().elsewhere);
  const auto stranger = shared_listener();
  CHECK(tree.look(table).size() == 1);
  one.stop();
  CHECK(tree.look(table).empty());
}

TEST_CASE("TreeListeners: a descriptor that is passed on is found at an eighth look") {
  mk::Executor idle{test::helper("sleep", "60000")};
  const pid_t leader = idle.start().pid();
  Listeners table;
  TreeListeners tree{leader, ::getpid()};  // the tree of this process
  CHECK(tree.look(table).empty());
  const auto fd = shared_listener();
  CHECK(tree.look(table).empty());  // this process is no part of its tree
  const pid_t child = ::fork();     // has a copy
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  int looks = 1;
  while (tree.look(table).empty() && looks < 20) ++looks;
  CHECK(looks <= 8);
  CHECK(tree.look(table).front().pid == child);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_CASE("TreeListeners: a socket in another network namespace is elsewhere") {
  if (std::system("unshare -n true 2>/dev/null") != 0) return;
  mk::Executor far{mk::Shell{"exec unshare -n " + test::helper() + " listen 0.0.0.0 0"},
                   mk::ListenCheck{}, test::in_time};
  const pid_t leader = far.start().pid();
  Listeners table;
  TreeListeners tree{leader, test::parent_of(leader)};
  REQUIRE(tree.look(table).size() == 1);
  CHECK(tree.look(table).front().elsewhere);
  CHECK(tree.look(table).front().entry.port == far.port());
}

TEST_CASE("owner_of_listener: the service, whichever process of it holds the socket") {
  auto leader = server();
  CHECK(owner_at(leader.port(), leader.pid()).kind == service);
  mk::Executor child{mk::Shell{test::helper() + " listen 127.0.0.1 0; exit $?"},
                     mk::TCPCheck{"127.0.0.1", 0}, test::in_time};
  child.start();
  CHECK(owner_at(child.port(), child.pid()).kind == service);
  mk::Executor daemon{mk::Shell{"setsid " + test::helper() + " listen 127.0.0.1 0 & sleep 60"},
                      mk::TCPCheck{"127.0.0.1", 0}, test::in_time};
  daemon.start();
  CHECK(owner_at(daemon.port(), daemon.pid()).kind == service);
}

TEST_CASE("owner_of_listener: others, by their names") {
  auto one = server(), other = server();
  const auto owner = owner_at(other.port(), one.pid());
  CHECK(owner.kind == others);
  CHECK(owner.text ==
        "pid " + std::to_string(other.pid()) + " (" + test::helper() + " listen 127.0.0.1 0)");
}

TEST_CASE("owner_of_listener: a socket of this process is the service's, too") {
  auto one = server();
  const auto own = shared_listener();
  CHECK(owner_at(port_of(own), one.pid()).kind == service);
}

TEST_CASE("owner_of_listener: of several sockets on a port one of the service is enough") {
  // The kernel hands a connection to any of them.
  auto own = shared_listener();
  const auto port = port_of(own);
  auto stranger = server();
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i) {
    const auto sibling = shared_listener(port);
    children.push_back(::fork());
    if (children.back() == 0) {
      own.reset();
      ::pause();
      ::_exit(0);
    }
  }
  CHECK(owner_at(port, stranger.pid()).kind == service);
  own.reset();
  // The children have a copy of that socket for a moment.
  ListenerOwner owner;
  CHECK(test::eventually([&] {
    owner = owner_at(port, stranger.pid());
    return owner.inodes.size() == 3;
  }));
  CHECK(owner.kind == others);
  for (const pid_t child : children)
    CHECK(owner.text.find("pid " + std::to_string(child) + " (") != std::string::npos);
  for (const pid_t child : children) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
}

TEST_CASE("owner_of_listener: the closest socket counts, as for the kernel") {
  auto everywhere = server("0.0.0.0");
  const auto port = everywhere.port();
  CHECK(owner_at(port, everywhere.pid()).kind == service);
  Listeners table;
  const auto address = known_endpoints("127.0.0.2", port).front();
  CHECK(
      owner_of_listener(table, address.data(), everywhere.pid(), test::parent_of(everywhere.pid()))
          .kind == service);
}

TEST_CASE("owner_of_listener: it is unknown where nobody listens") {
  auto one = server();
  const auto port = static_cast<std::uint16_t>(test::free_port());
  const auto owner = owner_at(port, one.pid());
  CHECK(owner.kind == unknown);
  CHECK(owner.text == "the kernel's table has no listener there");
}

TEST_CASE("owner_of_listener: the same sockets have the same owner without a look at /proc") {
  auto one = server(), other = server();
  const auto first = owner_at(one.port(), one.pid());
  REQUIRE(first.kind == service);
  CHECK(owner_at(one.port(), other.pid(), first).kind == service);  // asked of the last answer
  CHECK(owner_at(one.port(), other.pid()).kind == others);
}

TEST_CASE("owner_of_listener: a plain user cannot tell a hidden process's socket") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: needs root");
    return;
  }
  auto hidden = server();
  const auto port = hidden.port();
  CHECK(test::in_child([port] {
          if (!test::become_nobody()) return false;
          mk::Executor own{"sleep 60"};
          own.start();
          const auto owner = owner_at(port, own.pid());
          return owner.kind == unknown &&
                 owner.text == "a process of user root that /proc hides listens there";
        }) == 0);
}

TEST_CASE("owner_of_listener: it reads /proc/net/tcp without a table") {
  auto one = server(), other = server();
  const auto port = one.port();
  const pid_t mine = one.pid(), its = other.pid();
  CHECK(test::in_child([=] {
          if (!test::take_away(SYS_socket, EAFNOSUPPORT, 0, 0xff, AF_NETLINK)) return false;
          return owner_at(port, mine).kind == service && owner_at(port, its).kind == others;
        }) == 0);
}

TEST_CASE("owner_of_listener: it leaves no descriptor open") {
  auto one = server(), other = server();
  const auto before = test::open_fds();
  CHECK(owner_at(one.port(), one.pid()).kind == service);
  CHECK(owner_at(one.port(), other.pid()).kind == others);
  CHECK(test::open_fds() == before);
}
