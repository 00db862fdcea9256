// SPDX-License-Identifier: BSL-1.0
// The laws of composed checks, for all pairs of built-in checks.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <boost/hana/for_each.hpp>
#include <boost/hana/tuple.hpp>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/net/endpoint.hpp>

#include "net.hpp"

namespace mk = mirakuru;
namespace hana = boost::hana;
using namespace std::chrono_literals;

namespace {

constexpr mk::TimePoint epoch{100h};

/// Answers each connection with an HTTP status until its end.
class Server {
 public:
  explicit Server(const std::string& path) {
    unix_address_.sun_family = AF_UNIX;
    path.copy(unix_address_.sun_path, sizeof unix_address_.sun_path - 1);
    REQUIRE(::bind(unix_.get(), reinterpret_cast<sockaddr*>(&unix_address_),
                   sizeof unix_address_) == 0);
    REQUIRE(::listen(unix_.get(), 64) == 0);
    REQUIRE(endpoint_.can_bind());
    REQUIRE(::listen(endpoint_.fd(), 64) == 0);
    thread_ = std::thread{[this] { serve(); }};
    unix_thread_ = std::thread{[this] {
      while (mk::detail::UniqueFd{::accept(unix_.get(), nullptr, nullptr)}) {
      }
    }};
  }
  Server(const Server&) = delete;
  ~Server() {
    for (const int fd : {endpoint_.fd(), unix_.get()}) ::shutdown(fd, SHUT_RDWR);
    thread_.join();
    unix_thread_.join();
  }

  [[nodiscard]] int port() const { return port_.number(); }

 private:
  void serve() {
    constexpr std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nUP";
    for (;;) {
      const mk::detail::UniqueFd client{::accept(endpoint_.fd(), nullptr, nullptr)};
      if (!client) return;
      std::array<char, 4096> request{};
      if (::recv(client.get(), request.data(), request.size(), 0) > 0)
        (void)::send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    }
  }

  test::Port port_;
  test::Endpoint endpoint_{"127.0.0.1", port_.number()};
  mk::detail::UniqueFd unix_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_un unix_address_{};
  std::thread thread_, unix_thread_;
};

/// A check that holds, and one that does not, if there can be one.
template <class Check>
struct Sample {
  std::optional<Check> yes, no;

  /// Calls `visit` with each, and its truth.
  template <class Visit>
  void each(Visit visit) const {
    if (no) visit(*no, false);
    if (yes) visit(*yes, true);
  }
};
template <class Check>
Sample<Check> sample(Check yes, Check no) {
  return {std::move(yes), std::move(no)};
}

struct Fixed {
  bool value;
  bool operator()(const mk::Process&) const { return value; }
};

/// All that the checks look at.
struct World {
  World() {
    std::ofstream{dir / "pid"} << ::getpid() << '\n';
    REQUIRE(::write(streams.out().fd(), "yes\n", 4) == 4);
  }

  mk::TempDir dir;
  Server server{(dir / "socket").string()};
  mk::OutputStreams streams = mk::detail::open_streams(mk::Capture{});
  mk::detail::FileChanges changes;
  std::uint16_t port = 0;
  mk::Process process{
      ::getpid(), streams, true, {.since = epoch, .changes = &changes, .port = &port}};

  /// Does all that a service does which was started by this request.
  void serve(const mk::LaunchRequest& request) const {
    std::ofstream{dir / "log", std::ios::app} << "yes\n";
    if (const auto given = request.descriptors.find(3); given != request.descriptors.end())
      REQUIRE(::write(given->second->get(), "\n", 1) == 1);
    if (const auto given = request.env.find("NOTIFY_SOCKET"); given != request.env.end()) {
      const auto endpoint = mk::SocketPath{given->second}.endpoint();
      const mk::detail::UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
      REQUIRE(::sendto(socket.get(), "READY=1", 7, 0, endpoint.data(), endpoint.size) == 7);
    }
  }

  auto samples() const {
    const auto url = [](int number) { return "http://127.0.0.1:" + std::to_string(number) + "/"; };
    const auto at = [this](const char* name) { return (dir / name).string(); };
    const mk::Port open = server.port();
    return hana::make_tuple(
        sample(Fixed{true}, Fixed{false}), sample(mk::BannerCheck{"yes"}, mk::BannerCheck{"no"}),
        sample(mk::LogFileCheck{at("log"), "yes"}, mk::LogFileCheck{at("log"), "no"}),
        sample(mk::PidCheck{at("pid")}, mk::PidCheck{at("missing")}),
        Sample<mk::ExitCheck>{{}, mk::ExitCheck{}},
        sample(mk::TCPCheck{"127.0.0.1", open}, mk::TCPCheck{"127.0.0.1", 1}),
        sample(mk::ListenCheck{}, mk::ListenCheck{.port = 1}),
        sample(mk::TalkCheck{.port = open, .send = "GET /\n", .expect = "200"},
               mk::TalkCheck{.port = open, .send = "GET /\n", .expect = "500"}),
        sample(mk::UnixSocketCheck{at("socket")}, mk::UnixSocketCheck{at("missing")}),
        sample(mk::HTTPCheck{url(server.port())},
               mk::HTTPCheck{.url = url(server.port()), .status = 404}),
        sample(mk::ExecCheck{"true"}, mk::ExecCheck{"false"}),
        Sample<mk::NotifyCheck>{mk::NotifyCheck{}, {}},
        sample(mk::FdCheck{.fd = 3}, mk::FdCheck{.fd = 4}));
  }
};

/// Polls a probe at made-up moments.
bool becomes_ready(mk::Probe& probe) {
  auto now = epoch;
  for (int round = 0; round < 20; ++round) {
    try {
      if (probe.poll(now)) return true;
    } catch (const mk::CannotHold&) {
      return false;
    }
    mk::WaitSet waits;
    probe.wait(now, waits);
    if (probe.pending() && waits.size() > 0) ::poll(waits.descriptors().data(), waits.size(), 1000);
    now = std::clamp(waits.deadline(), now + 1ms, now + 1s);
  }
  return false;
}
/// True if the probe is done at the moment that close() has named.
bool keeps_to_its_deadline(mk::Probe& probe) {
  const auto until = epoch + 50ms;
  try {
    (void)probe.poll(epoch);
    probe.close(until);
    for (auto now = epoch; now <= until && probe.pending(); now += 1ms) (void)probe.poll(now);
  } catch (const mk::CannotHold&) {
    return true;
  }
  return !probe.pending();
}

/// A fresh probe of the check, after its preparation.
template <class Check>
std::unique_ptr<mk::Probe> start(Check& check, const World& world, bool serves) {
  mk::LaunchRequest request;
  if constexpr (mk::detail::Prepares<Check>) check.prepare(request);
  if (serves) world.serve(request);
  return mk::detail::make_probe(check, world.process);
}

template <class Check>
bool holds(Check check, const World& world) {
  return becomes_ready(*start(check, world, true));
}
template <class Check>
bool keeps_to_its_deadline(Check check, const World& world) {
  return keeps_to_its_deadline(*start(check, world, false));
}

/// Fails with the names of the checks.
void expect(bool right, const char* law, const std::string& a, const std::string& b = {}) {
  CHECK_MESSAGE(right, std::string{law}, " for ", a, " and ", b);
}

}  // namespace

TEST_CASE("composed checks: neutral elements, and one check alone") {
  const World world;
  constexpr Fixed always{true}, never{false};
  hana::for_each(world.samples(), [&](const auto& sample) {
    sample.each([&](const auto& check, bool truth) {
      const auto name = mk::detail::name_of(check);
      expect(holds(check, world) == truth, "a check", name);
      expect(holds(mk::AnyOf{check}, world) == truth, "any of one", name);
      expect(holds(mk::AllOf{check}, world) == truth, "all of one", name);
      expect(holds(mk::AnyOf{check, never}, world) == truth, "or false", name);
      expect(holds(mk::AllOf{always, check}, world) == truth, "and true", name);
      expect(holds(mk::AnyOf{always, check}, world), "or true", name);
      expect(!holds(mk::AllOf{check, never}, world), "and false", name);
      expect(holds(mk::Within{1h, check}, world) == truth, "within an hour", name);
      expect(holds(mk::StableFor{0s, check}, world) == truth, "stable for no time", name);
      expect(holds(mk::StableFor{10ms, check}, world) == truth, "stable for a time", name);
    });
  });
}

TEST_CASE("composed checks: all pairs commute, and keep to their deadline") {
  const World world;
  const auto samples = world.samples();
  hana::for_each(samples, [&]<class Left>(const Sample<Left>& left) {
    hana::for_each(samples, [&]<class Right>(const Sample<Right>& right) {
      // Two of these would share a socket or a descriptor.
      if constexpr (!std::is_same_v<Left, Right> || !mk::detail::NeedsPreparation<Left>)
        left.each([&](const Left& a, bool x) {
          right.each([&](const Right& b, bool y) {
            const auto name = mk::detail::name_of(a), other = mk::detail::name_of(b);
            expect(holds(mk::AnyOf{a, b}, world) == (x || y), "or", name, other);
            expect(holds(mk::AllOf{a, b}, world) == (x && y), "and", name, other);
            if (x || y) return;
            expect(keeps_to_its_deadline(mk::AnyOf{a, b}, world), "deadline", name, other);
            expect(keeps_to_its_deadline(mk::AllOf{a, b}, world), "deadline", name, other);
          });
        });
    });
  });
}

// Here types do not matter, so they are forgotten, which saves minutes of compiling.
TEST_CASE("composed checks: all pairs associate") {
  using mk::detail::AnyCheck;
  const World world;
  std::vector<std::pair<AnyCheck, bool>> checks;
  hana::for_each(world.samples(), [&](const auto& sample) {
    sample.each([&](const auto& check, bool truth) {
      if constexpr (!mk::detail::Prepares<std::remove_cvref_t<decltype(check)>>)
        checks.emplace_back(AnyCheck::of(check), truth);
    });
  });
  for (const auto& [a, x] : checks)
    for (const auto& [b, y] : checks)
      for (const bool z : {false, true}) {
        const auto c = AnyCheck::of(Fixed{z});
        const auto name = a.describe(), other = b.describe();
        expect(holds(mk::AnyOf{mk::AnyOf{a, b}, c}, world) == (x || y || z), "(or) or", name,
               other);
        expect(holds(mk::AnyOf{a, mk::AnyOf{b, c}}, world) == (x || y || z), "or (or)", name,
               other);
        expect(holds(mk::AllOf{mk::AllOf{a, b}, c}, world) == (x && y && z), "(and) and", name,
               other);
        expect(holds(mk::AllOf{a, mk::AllOf{b, c}}, world) == (x && y && z), "and (and)", name,
               other);
        expect(keeps_to_its_deadline(mk::StableFor{1h, mk::AllOf{a, mk::Within{1h, b}}}, world),
               "deadline", name, other);
      }
}
