// SPDX-License-Identifier: BSL-1.0
// Stories of a shared process, with a guardian that is no process.
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/sharing/process.hpp>
#include <mirakuru/spawn/guardian/lease_message.hpp>

namespace mk = mirakuru;
using mk::detail::Lease;
using mk::detail::LeaseHead;
using mk::detail::make_lease;

namespace {

struct Facts {
  int lives_for = 1'000'000;  // calls of alive()
  pid_t guardian = 11;
  std::string signals;
};

/// The handle of a spawner.
class Base {
 public:
  explicit Base(Facts& facts) : facts_{&facts} {}

  pid_t pid() const { return 12; }
  pid_t guardian() const { return facts_->guardian; }
  std::uint64_t mark() const { return 0; }
  int event() const { return 100; }
  bool alive() { return --facts_->lives_for >= 0; }
  std::optional<int> exit_code() const {
    return facts_->lives_for < 0 ? std::optional{-SIGKILL} : std::nullopt;
  }
  void signal(int number) { facts_->signals += 's' + std::to_string(number); }
  void signal_leader(int number) { facts_->signals += 'l' + std::to_string(number); }
  const std::vector<mk::Straggler>& stragglers() const { return stragglers_; }
  std::string trouble() const { return "odd"; }
  bool refused() const { return true; }

 private:
  Facts* facts_;
  std::vector<mk::Straggler> stragglers_{{.pid = 13, .command = "left"}};
};
using Process = mk::detail::SharedProcess<Base>;

/// True if the other end of the socket is closed.
bool is_closed(const mk::detail::UniqueFd& socket) {
  char bytes[200];
  ssize_t size;
  while ((size = ::recv(socket.get(), bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
  }
  return size == 0;
}

/// A lease that a guardian has greeted.
Lease greeted(mk::detail::UniqueFd ours, const mk::detail::UniqueFd& theirs) {
  const auto greeting = mk::detail::greeting_of({{"command", "a"}}, {});
  LeaseHead head;
  head.kind = LeaseHead::hello;
  head.leader = 22;
  head.guardian = 21;
  head.greeting_size = static_cast<std::uint32_t>(greeting.size());
  std::string message{reinterpret_cast<const char*>(&head), sizeof head};
  message += greeting + mk::detail::pack({"80", "name", "value"});
  REQUIRE(::send(theirs.get(), message.data(), message.size(), 0) > 0);
  Lease lease{std::move(ours)};
  lease.look();
  REQUIRE(lease.state() == Lease::State::joined);
  return lease;
}

void tell_end(const mk::detail::UniqueFd& theirs, int exit_code, bool last) {
  LeaseHead head;
  head.kind = LeaseHead::ended;
  head.exit_code = exit_code;
  head.last = last ? 1 : 0;
  REQUIRE(::send(theirs.get(), &head, sizeof head, 0) == sizeof head);
}

}  // namespace

TEST_CASE("SharedProcess: until it is ready, it is the starter's own") {
  Facts facts;
  auto [ours, theirs] = make_lease();
  Process process{Base{facts}, Lease{std::move(ours)}};
  CHECK(process.pid() == 12);
  CHECK(process.guardian() == 11);
  CHECK(process.event() == 100);
  CHECK(process.alive());
  CHECK(process.stragglers().size() == 1);
  CHECK(process.trouble() == "odd");
  CHECK(process.refused());
  CHECK_FALSE(process.leave());
  process.signal(SIGTERM);
  process.signal_leader(SIGHUP);
  CHECK(facts.signals == "s15l1");
  CHECK_FALSE(is_closed(theirs));
}

TEST_CASE("SharedProcess: once it is ready, the starter has no signals, and leaves") {
  Facts facts;
  auto [ours, theirs] = make_lease();
  Process process{Base{facts}, Lease{std::move(ours)}};
  process.ready({.port = 80, .published = {{"name", "value"}}});
  LeaseHead head;
  REQUIRE(::recv(theirs.get(), &head, sizeof head, 0) == sizeof head);
  CHECK(head.kind == LeaseHead::ready);
  CHECK(process.alive());
  CHECK_FALSE(process.pause());
  process.signal(SIGTERM);
  CHECK(facts.signals.empty());
  CHECK(is_closed(theirs));
  CHECK_FALSE(process.alive());
  CHECK_FALSE(process.exit_code());
  CHECK(process.pid() == 12);  // of a stop's report
  CHECK(process.stragglers().empty());
  CHECK(process.trouble().empty());
  CHECK_FALSE(process.refused());
  CHECK(process.leave());
}

TEST_CASE("SharedProcess: one that has joined has the facts of its lease, and leaves by a signal") {
  auto [ours, theirs] = make_lease();
  Process process{greeted(std::move(ours), theirs)};
  CHECK(process.pid() == 22);
  CHECK(process.guardian() == 21);
  CHECK(process.alive());
  CHECK_FALSE(process.exit_code());
  CHECK(process.event() >= 0);
  CHECK_FALSE(process.pause());
  CHECK(process.stragglers().empty());
  process.signal_leader(SIGTERM);
  CHECK(is_closed(theirs));
  CHECK_FALSE(process.alive());
  CHECK(process.pid() == 22);
}

TEST_CASE("SharedProcess: one that has joined hears of the leader's end, and of the tree's") {
  auto [ours, theirs] = make_lease();
  Process process{greeted(std::move(ours), theirs)};
  tell_end(theirs, 3, false);
  CHECK(process.alive());
  CHECK(process.exit_code() == 3);
  tell_end(theirs, 3, true);
  CHECK_FALSE(process.alive());
  theirs.reset();
  CHECK_FALSE(process.alive());
  CHECK(process.trouble().empty());
}

TEST_CASE("SharedProcess: the end of the connection alone is the guardian's end") {
  auto [ours, theirs] = make_lease();
  Process process{greeted(std::move(ours), theirs)};
  theirs.reset();
  CHECK_FALSE(process.alive());
  CHECK(process.exit_code() == -SIGKILL);
  CHECK(process.trouble() == "its guardian has ended");
}
