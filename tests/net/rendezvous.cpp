// SPDX-License-Identifier: BSL-1.0
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/net/rendezvous.hpp>
#include <mirakuru/net/socket_path.hpp>

#include <child.hpp>

using mirakuru::TimePoint;
using mirakuru::detail::Rendezvous;
using mirakuru::detail::UniqueFd;
using Role = Rendezvous::Role;
using namespace std::chrono_literals;

namespace {

constexpr TimePoint begin{1h};

// A name that no other run of these tests has.
std::string fresh_name() {
  static int count = 0;
  return "test-" + std::to_string(::getpid()) + '-' + std::to_string(++count);
}

UniqueFd squat(const std::string& address, bool listens, int type = SOCK_SEQPACKET) {
  UniqueFd socket{::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)};
  const auto end = mirakuru::SocketPath{address}.endpoint();
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&end.address), end.size) != 0 ||
      (listens && ::listen(socket.get(), 16) != 0))
    socket.reset();
  return socket;
}

// Another user, who listens at the first `count` addresses until the end of its lifetime.
class OtherUser {
 public:
  OtherUser(const Rendezvous& place, int count) {
    auto ready = mirakuru::detail::make_pipe(), end = mirakuru::detail::make_pipe();
    pid_ = ::fork();
    if (pid_ == 0) {
      end.writing.reset();
      char ok = test::become_nobody() ? '1' : '0';
      std::vector<UniqueFd> sockets;
      for (int n = 0; n < count; ++n) {
        sockets.push_back(squat(place.address(n), true));
        if (!sockets.back()) ok = '0';
      }
      if (::write(ready.writing.get(), &ok, 1) == 1)
        while (::read(end.reading.get(), &ok, 1) > 0) {
        }
      ::_exit(0);
    }
    ready.writing.reset();
    end_ = std::move(end.writing);
    char ok = '0';
    works_ = ::read(ready.reading.get(), &ok, 1) == 1 && ok == '1';
  }
  OtherUser(const OtherUser&) = delete;
  OtherUser& operator=(const OtherUser&) = delete;
  ~OtherUser() {
    end_.reset();
    ::waitpid(pid_, nullptr, 0);
  }
  bool works() const { return works_; }

 private:
  pid_t pid_;
  UniqueFd end_;
  bool works_ = false;
};

}  // namespace

TEST_CASE("Rendezvous: name and scope both count, and their border") {
  const auto first = Rendezvous{"ab", "c"}.address(0);
  CHECK(first == Rendezvous{"ab", "c"}.address(0));
  CHECK(first != Rendezvous{"a", "bc"}.address(0));
  CHECK(first != Rendezvous{"ab", ""}.address(0));
  CHECK(first != Rendezvous{"ab", "c"}.address(1));
  CHECK(first.starts_with("@mirakuru/" + std::to_string(::geteuid()) + '/'));
}

TEST_CASE("Rendezvous: the first one listens, the next ones are connected to it") {
  const auto name = fresh_name();
  Rendezvous one{name, ""}, two{name, ""};
  auto starter = one.attempt(begin);
  REQUIRE(starter.role == Role::starter);
  auto joiner = two.attempt(begin);
  REQUIRE(joiner.role == Role::joined);
  const UniqueFd lease{::accept(starter.socket.get(), nullptr, nullptr)};
  REQUIRE(::send(lease.get(), "hello", 5, MSG_NOSIGNAL) == 5);
  char text[8] = {};
  CHECK(::recv(joiner.socket.get(), text, sizeof text, 0) == 5);
  CHECK(std::string{text} == "hello");

  CHECK(Rendezvous{name, "elsewhere"}.attempt(begin).role == Role::starter);
  joiner.socket.reset();
  starter.socket.reset();
  CHECK(two.attempt(begin).role == Role::starter);
}

TEST_CASE("Rendezvous: an address that does not listen is passed over after a while") {
  Rendezvous place{fresh_name(), ""};
  const auto silent = squat(place.address(0), false);
  REQUIRE(silent);
  CHECK(place.attempt(begin).role == Role::undecided);
  CHECK(place.attempt(begin + Rendezvous::patience - 1ms).role == Role::undecided);
  const auto starter = place.attempt(begin + Rendezvous::patience);
  REQUIRE(starter.role == Role::starter);

  // The one that listens late finds the other.
  REQUIRE(::listen(silent.get(), 16) == 0);
  CHECK(place.attempt(begin + 1s).role == Role::joined);
}

TEST_CASE("Rendezvous: a socket of another type is not of this library") {
  Rendezvous place{fresh_name(), ""};
  const auto other = squat(place.address(0), false, SOCK_DGRAM);
  REQUIRE(other);
  CHECK(place.attempt(begin).role == Role::starter);
}

TEST_CASE("Rendezvous: a listener whose queue is full is waited for") {
  Rendezvous place{fresh_name(), ""};
  const UniqueFd full = squat(place.address(0), false);
  REQUIRE(::listen(full.get(), 0) == 0);
  const auto first = place.attempt(begin);
  REQUIRE(first.role == Role::joined);
  CHECK(place.attempt(begin).role == Role::undecided);
  const UniqueFd accepted{::accept(full.get(), nullptr, nullptr)};
  CHECK(place.attempt(begin).role == Role::joined);
}

TEST_CASE("Rendezvous: another user neither joins nor blocks" * doctest::skip(::geteuid() != 0)) {
  const auto name = fresh_name();
  Rendezvous place{name, ""};
  UniqueFd listener;
  {
    const OtherUser squatter{place, 3};
    REQUIRE(squatter.works());
    auto starter = place.attempt(begin);
    REQUIRE(starter.role == Role::starter);
    listener = std::move(starter.socket);
    CHECK(Rendezvous{name, ""}.attempt(begin).role == Role::joined);
  }
  // The squatter has gone: a newcomer gets the first address, and still finds the listener.
  while (true) {  // what the newcomer before left in the queue
    const UniqueFd lease{::accept(listener.get(), nullptr, nullptr)};
    if (!lease) break;
  }
  const auto joined = Rendezvous{name, ""}.attempt(begin);
  REQUIRE(joined.role == Role::joined);
  CHECK(UniqueFd{::accept(listener.get(), nullptr, nullptr)});
}

TEST_CASE("Rendezvous: a user who holds all addresses is told of" *
          doctest::skip(::geteuid() != 0)) {
  Rendezvous place{fresh_name(), ""};
  const OtherUser squatter{place, Rendezvous::addresses};
  REQUIRE(squatter.works());
  CHECK(place.attempt(begin).role == Role::refused);
}

TEST_CASE("Rendezvous: of many programs at once, exactly one starts") {
  constexpr int programs = 16;
  for (int round = 0; round < 20; ++round) {
    const auto name = fresh_name();
    auto go = mirakuru::detail::make_pipe(), said = mirakuru::detail::make_pipe(),
         end = mirakuru::detail::make_pipe();
    std::vector<pid_t> children;
    for (int i = 0; i < programs; ++i) {
      const pid_t pid = ::fork();
      if (pid == 0) {
        go.writing.reset();
        end.writing.reset();
        char byte = 0;
        if (::read(go.reading.get(), &byte, 1) != 0) ::_exit(1);
        Rendezvous place{name, ""};
        auto now = begin;  // it does not go on: nobody here keeps an address silent
        auto outcome = place.attempt(now);
        while (outcome.role == Role::undecided) outcome = place.attempt(now);
        byte = outcome.role == Role::starter ? 's' : outcome.role == Role::joined ? 'j' : 'x';
        if (::write(said.writing.get(), &byte, 1) == 1)
          while (::read(end.reading.get(), &byte, 1) > 0) {
          }
        ::_exit(0);
      }
      children.push_back(pid);
    }
    go.writing.reset();
    said.writing.reset();
    std::string roles;
    char byte = 0;
    while (roles.size() < programs && ::read(said.reading.get(), &byte, 1) == 1) roles += byte;
    end.writing.reset();
    for (const pid_t child : children) ::waitpid(child, nullptr, 0);
    std::size_t starters = 0, joiners = 0;
    for (const char role : roles) (role == 's' ? starters : joiners) += role == 'x' ? 0u : 1u;
    CHECK(starters == 1);
    CHECK(joiners == programs - 1);
  }
}
