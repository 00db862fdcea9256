// SPDX-License-Identifier: BSL-1.0
// The connections of a guardian, without its process.
#include <sys/socket.h>
#include <sys/un.h>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/spawn/guardian/leases.hpp>

namespace mk = mirakuru;
using mk::detail::LeaseHead;
using mk::detail::Leases;
using mk::detail::UniqueFd;
using Verdict = Leases::Verdict;

namespace {

constexpr int type = SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC;

struct Message {
  LeaseHead head;
  std::string text;
};

/// The leases of a tree, and the sockets of the programs that use it.
struct Shared {
  Shared() {
    listener = UniqueFd{::socket(AF_UNIX, type, 0)};
    const sockaddr_un any{.sun_family = AF_UNIX, .sun_path = {}};  // the kernel chooses the name
    REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(sa_family_t)) ==
            0);
    REQUIRE(::listen(listener.get(), 10) == 0);
    REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&name), &name_size) == 0);
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, type, 0, ends) == 0);
    starter = UniqueFd{ends[0]};
    guardian_end = UniqueFd{ends[1]};
    leasing = {.listener = listener.get(), .starter = ends[1], .greeting = "hello"};
    memory.resize(Leases::extra_size(leasing));
    mk::detail::StringArena arena{memory.data()};
    leases.emplace(leasing, arena);
    REQUIRE(leases->begin());
    // It closes the lease of one that has ended.
    (void)guardian_end.release();
    leases->spawned(42, 41, 7);
  }

  [[nodiscard]] UniqueFd join() const {
    UniqueFd fd{::socket(AF_UNIX, type, 0)};
    REQUIRE(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), name_size) == 0);
    return fd;
  }
  void say_ready(const std::string& values) const {
    std::string message(sizeof(LeaseHead), '\0');
    new (message.data()) LeaseHead{.kind = LeaseHead::ready};
    message += values;
    REQUIRE(::send(starter.get(), message.data(), message.size(), 0) ==
            static_cast<ssize_t>(message.size()));
  }
  [[nodiscard]] static std::optional<Message> take(const UniqueFd& fd) {
    std::array<char, 1000> bytes{};
    const auto size = ::recv(fd.get(), bytes.data(), bytes.size(), 0);
    if (size < static_cast<ssize_t>(sizeof(LeaseHead))) return {};
    Message message{{}, {bytes.data() + sizeof(LeaseHead), bytes.data() + size}};
    std::copy_n(bytes.data(), sizeof(LeaseHead), reinterpret_cast<char*>(&message.head));
    return message;
  }

  UniqueFd listener, starter, guardian_end;
  sockaddr_un name{};
  socklen_t name_size = sizeof name;
  std::optional<mk::Leasing> leasing;
  std::vector<char> memory;
  std::optional<Leases> leases;
};

}  // namespace

TEST_CASE("Leases: a tree of one owner needs nothing") {
  mk::detail::StringArena arena{nullptr};
  Leases none{std::nullopt, arena};
  CHECK(Leases::extra_size(std::nullopt) == 0);
  CHECK_FALSE(none.shared());
  CHECK(none.begin());
  CHECK(none.event() == -1);
  CHECK(none.pause(0) == INT64_MAX);
}

TEST_CASE("Leases: a newcomer waits for the starter, and is greeted with its values") {
  Shared shared;
  const auto newcomer = shared.join();
  CHECK(shared.leases->look() == Verdict::live);
  CHECK_FALSE(Shared::take(newcomer));
  shared.say_ready("values");
  CHECK(shared.leases->look() == Verdict::live);  // it listens from now on
  CHECK(shared.leases->look() == Verdict::live);
  const auto hello = Shared::take(newcomer);
  REQUIRE(hello);
  CHECK(hello->head.kind == LeaseHead::hello);
  CHECK(hello->head.leader == 42);
  CHECK(hello->head.guardian == 41);
  CHECK(hello->head.mark == 7);
  CHECK(hello->head.greeting_size == 5);
  CHECK(hello->text == "hellovalues");
}

TEST_CASE("Leases: the tree ends with its last lease") {
  Shared shared;
  shared.say_ready("v");
  CHECK(shared.leases->look() == Verdict::live);
  auto newcomer = shared.join();
  CHECK(shared.leases->look() == Verdict::live);
  shared.starter.reset();
  CHECK(shared.leases->look() == Verdict::live);
  newcomer.reset();
  CHECK(shared.leases->look() == Verdict::end);
  CHECK(shared.leases->look() == Verdict::live);  // told once
}

TEST_CASE("Leases: a starter that leaves during the start has the tree killed") {
  Shared shared;
  shared.starter.reset();
  CHECK(shared.leases->look() == Verdict::kill);
}

TEST_CASE("Leases: all hear of the leader's end, also those that join later") {
  Shared shared;
  shared.say_ready("v");
  CHECK(shared.leases->look() == Verdict::live);
  shared.leases->leader_ended(0, false);
  const auto told = Shared::take(shared.starter);
  REQUIRE(told);
  CHECK(told->head.kind == LeaseHead::ended);
  CHECK(told->head.last == 0);
  const auto newcomer = shared.join();
  CHECK(shared.leases->look() == Verdict::live);
  CHECK(Shared::take(newcomer)->head.kind == LeaseHead::hello);
  CHECK(Shared::take(newcomer)->head.kind == LeaseHead::ended);
  shared.leases->leader_ended(3, true);
  const auto last = Shared::take(newcomer);
  REQUIRE(last);
  CHECK(last->head.exit_code == 3);
  CHECK(last->head.last == 1);
}
