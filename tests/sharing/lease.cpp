// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/error.hpp>
#include <mirakuru/net/rendezvous.hpp>
#include <mirakuru/sharing/lease.hpp>
#include <mirakuru/spawn/guardian/lease_message.hpp>

#include "child.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using mk::detail::Lease;
using mk::detail::LeaseHead;
using mk::detail::pack;
using mk::detail::SharedFacts;
using mk::detail::unpack;

TEST_CASE("pack: unpack() returns the texts, with any bytes") {
  const std::vector<std::string> texts{"", "a:1", std::string{"\0\n", 2}, std::string(70000, 'x')};
  CHECK(unpack(pack(texts)) == texts);
  CHECK(unpack("").empty());
}

TEST_CASE("unpack: bytes of another form are an error") {
  for (const char* bytes : {"x", "3", "3:ab", "-1:a", "99999999999999999999:a", "1:ab"})
    CHECK_THROWS_AS((void)unpack(bytes), mk::ExecutorError);
}

TEST_CASE("without_values: a value is replaced where it stands alone") {
  using mk::detail::without_values;
  const std::map<std::string, std::string> port{{"port", "63"}};
  CHECK(without_values("server --port 63 --max 630 --at=x:63", port) ==
        "server --port {port} --max 630 --at=x:{port}");
  CHECK(without_values("63", port) == "{port}");
  CHECK(without_values("a63 63b", port) == "a63 63b");
  CHECK(without_values("63", {{"empty", ""}}) == "63");
  CHECK(without_values("a a", {{"a", "a"}}) == "{a} {a}");
}

TEST_CASE("difference: the first one, with both values") {
  using mk::detail::difference;
  const SharedFacts mine{{"command", "redis-server"}, {"stop budget", "10 s"}};
  CHECK(difference(mine, mine).empty());
  CHECK(difference({{"command", "redis"}, {"stop budget", "10 s"}}, mine) ==
        "runs another command: redis; this program wants redis-server");
  CHECK(difference({{"command", "redis-server"}, {"stop budget", "5 s"}}, mine) ==
        "has another stop budget: 5 s; this program wants 10 s");
  CHECK(difference({{"command", "redis-server"}}, mine) ==
        "has another stop budget: (none); this program wants 10 s");
  CHECK(difference(mine, {{"command", "redis-server"}}) ==
        "has another stop budget: 10 s; this program wants (none)");
}

TEST_CASE("comparable: facts of any length fit in a message, and differ if they do") {
  using mk::detail::comparable;
  SharedFacts facts{{"command", std::string(100'000, 'c')}};
  for (int i = 0; i < 3000; ++i)
    facts.emplace_back("variable " + std::to_string(i), std::string(100, 'v'));
  auto others = facts;
  others.back().second += '!';
  const auto small = comparable(facts);
  CHECK(mk::detail::greeting_of(small, {}).size() < LeaseHead::most);
  CHECK(small == comparable(facts));
  CHECK(small != comparable(others));
  const SharedFacts few{{"command", "redis-server"}, {"user", ""}};
  CHECK(comparable(few) == few);
}

TEST_CASE("Lease: it is lost when the other end is closed before an answer") {
  auto [ours, theirs] = mk::detail::make_lease();
  Lease lease{std::move(ours)};
  lease.look();
  CHECK(lease.state() == Lease::State::waiting);
  theirs.reset();
  lease.look();
  CHECK(lease.state() == Lease::State::lost);
  CHECK_FALSE(lease);
}

TEST_CASE("give_up: those that wait hear of it, also if a fork has the listener") {
  for (const bool fails : {false, true}) {
    const auto name = test::mark();
    using mk::detail::Rendezvous;
    auto outcome = Rendezvous{name, ""}.attempt({});
    REQUIRE(outcome.role == Rendezvous::Role::starter);
    const mk::detail::UniqueFd of_fork{::fcntl(outcome.socket.get(), F_DUPFD_CLOEXEC, 3)};
    auto joined = Rendezvous{name, ""}.attempt({});
    REQUIRE(joined.role == Rendezvous::Role::joined);
    Lease lease{std::move(joined.socket)};
    mk::detail::give_up(std::move(outcome.socket),
                        fails ? std::make_exception_ptr(mk::ExecutorError{"no luck"}) : nullptr);
    lease.look();
    CHECK(lease.state() == (fails ? Lease::State::failed : Lease::State::lost));
  }
}

TEST_CASE("reap_later: it reaps children, and lets those go on that are stopped") {
  const pid_t child = ::fork();
  if (child == 0) {
    ::raise(SIGSTOP);
    ::_exit(0);
  }
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &info, WSTOPPED | WNOWAIT) == 0);
  mk::detail::reap_later(child);
  CHECK(test::eventually([&] {
    mk::detail::reap_later(0);
    return ::kill(child, 0) != 0;
  }));
}

TEST_CASE("reap_later: a static object may use it last") {
  CHECK(test::in_child([]() -> bool {
          static const struct Last {
            ~Last() { mk::detail::reap_later(1); }
          } last;
          mk::detail::reap_later(1);  // no child of this process
          std::exit(0);
        }) == 0);
}

TEST_CASE("Lease: a message of another version is an error") {
  auto [ours, theirs] = mk::detail::make_lease();
  LeaseHead head;
  ++head.version;
  REQUIRE(::send(theirs.get(), &head, sizeof head, 0) == sizeof head);
  Lease lease{std::move(ours)};
  CHECK_THROWS_WITH_AS(lease.look(),
                       "the programs that share a service use different versions of mirakuru",
                       mk::ExecutorError);
}
