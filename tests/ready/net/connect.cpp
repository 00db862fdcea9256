// SPDX-License-Identifier: BSL-1.0
// Connections to sockets of this process, at made-up moments.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/output/streams.hpp>
#include <mirakuru/ready/net/connect.hpp>

#include "child.hpp"
#include "errors.hpp"
#include "net.hpp"
#include "process.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::ConnectProbe;
using mk::detail::pause_after;
using mk::detail::Target;

namespace {

constexpr mk::TimePoint epoch{100h};
const mk::OutputStreams no_streams;
const mk::Process process{1, no_streams, true, {.since = epoch}};

/// A socket of this process that listens.
class Listener {
 public:
  Listener(const std::string& host, const test::Port& port) : socket_{host, port.number()} {
    if (!socket_.can_bind() || ::listen(socket_.fd(), 16) != 0)
      throw std::system_error{errno, std::generic_category(), "no listener"};
  }

 private:
  test::Endpoint socket_;
};

/// Talks over its connections as a script says; at the script's end the server is mute.
class Talker final : public ConnectProbe {
 public:
  using Script = std::vector<mk::Readiness>;

  Talker(const std::string& host, const test::Port& port, Script script = {})
      : ConnectProbe{Target{host, static_cast<std::uint16_t>(port.number())}, &process},
        script_{std::move(script)} {}

  std::string families;  // of the endpoints that it has talked to: "46"
  bool sends = false;

  mk::WaitSet wait_of(mk::TimePoint now) const {
    mk::WaitSet waits;
    wait(now, waits);
    return waits;
  }
  mk::TimePoint woken_at(mk::TimePoint now) const { return wait_of(now).deadline(); }

 private:
  void begin_talk() override { begins_ = true; }
  std::optional<mk::Readiness> talk(int socket) override {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    ::getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &size);
    if (!std::exchange(begins_, false)) return {};
    families += peer.ss_family == AF_INET ? '4' : '6';
    if (said_ == script_.size()) return {};
    return script_[said_++];
  }
  bool sending() const noexcept override { return sends; }

  Script script_;
  std::size_t said_ = 0;
  bool begins_ = false;
};

/// Connects to the ports that a tree has chosen, and writes them down. Ready at a port, or at any.
class Finder final : public ConnectProbe {
 public:
  Finder(const std::string& host, const mk::Process& of, int wanted = 0)
      : ConnectProbe{Target{.host = host}, &of}, wanted_{wanted} {}

  std::vector<int> tried;

 private:
  std::optional<mk::Readiness> talk(int) override {
    tried.push_back(port_at_hand());
    return wanted_ == 0 || wanted_ == port_at_hand() ? mk::Readiness{true} : mk::not_ready("no");
  }

  int wanted_;
};

/// This process as a service.
struct Service {
  std::uint16_t port = 0;  // the port that a check has found
  mk::Process process{::getpid(), no_streams, true, {.since = epoch, .port = &port}};
};

}  // namespace

TEST_CASE("ConnectProbe: a port that refuses, then listens") {
  const test::Port port;
  Talker probe{"127.0.0.1", port, {true}};
  CHECK(probe.poll(epoch).reason() == "connection refused");
  CHECK_FALSE(probe.pending());
  CHECK(probe.wait_of(epoch).size() == 0);
  CHECK(probe.woken_at(epoch) == epoch + 500us);
  CHECK(probe.woken_at(epoch + 6400ms) == epoch + 6500ms);
  CHECK_FALSE(probe.poll(epoch + 1ms));
  CHECK(probe.families.empty());
  const Listener listener{"127.0.0.1", port};
  CHECK(probe.poll(epoch + 2ms));
  CHECK(probe.families == "4");
}

TEST_CASE("ConnectProbe: every seventh attempt connects without a look at the kernel's table") {
  const test::Port port;
  Talker probe{"127.0.0.1", port};
  for (int attempt = 0; attempt <= 14; ++attempt) {
    CAPTURE(attempt);
    const auto reason = probe.poll(epoch + attempt * 1ms).reason();
    CHECK((reason == "connection refused" || (reason.empty() && attempt % 7 != 0)));
  }
}

TEST_CASE("ConnectProbe: an attempt ends after 1 s and the time waited before") {
  const test::Port port;
  const Listener listener{"127.0.0.1", port};
  Talker probe{"127.0.0.1", port};
  CHECK_FALSE(probe.poll(epoch));
  CHECK(probe.pending());
  CHECK(probe.woken_at(epoch) == epoch + 1s);
  CHECK(probe.poll(epoch + 1s - 1ms).reason().empty());
  CHECK(probe.pending());
  CHECK(probe.poll(epoch + 1s).reason() == "no answer within 1 s");
  CHECK_FALSE(probe.pending());
  // It has cost the service work, so the pause is longer than after a refusal.
  CHECK(probe.woken_at(epoch + 1s) == epoch + 1s + pause_after(1s, 45));

  CHECK_FALSE(probe.poll(epoch + 2s));
  CHECK(probe.woken_at(epoch + 2s) == epoch + 5s);
  CHECK(probe.poll(epoch + 5s).reason() == "no answer within 3 s");
  CHECK(probe.families == "44");
}

TEST_CASE("ConnectProbe: it waits for the answer, or until it can send") {
  const test::Port port;
  const Listener listener{"127.0.0.1", port};
  Talker probe{"127.0.0.1", port};
  CHECK_FALSE(probe.poll(epoch));
  auto waits = probe.wait_of(epoch);
  REQUIRE(waits.size() == 1);
  CHECK(waits.descriptors()[0].events == POLLIN);
  CHECK(::poll(waits.descriptors().data(), 1, 0) == 0);
  probe.sends = true;
  waits = probe.wait_of(epoch);
  CHECK(waits.descriptors()[0].events == POLLOUT);
  CHECK(::poll(waits.descriptors().data(), 1, 0) == 1);
}

TEST_CASE("ConnectProbe: each attempt begins with another endpoint") {
  if (!test::has_ipv6()) return;
  const test::Port port;
  const Listener v4{"127.0.0.1", port}, v6{"::1", port};
  Talker probe{"localhost", port, {false, false, false, false, false, true}};
  CHECK_FALSE(probe.poll(epoch));
  CHECK(probe.families == "46");
  CHECK_FALSE(probe.poll(epoch + 1ms));
  CHECK(probe.families == "4664");
  CHECK(probe.poll(epoch + 2ms));
  CHECK(probe.families == "466446");
}

TEST_CASE("ConnectProbe: a mute endpoint costs one attempt") {
  if (!test::has_ipv6()) return;
  const test::Port port;
  const Listener v4{"127.0.0.1", port}, v6{"::1", port};
  Talker probe{"localhost", port};
  CHECK_FALSE(probe.poll(epoch));
  CHECK_FALSE(probe.poll(epoch + 1s));
  CHECK(probe.families == "4");
  CHECK_FALSE(probe.poll(epoch + 1100ms));
  CHECK(probe.families == "46");
}

TEST_CASE("ConnectProbe: an answer is worth more than the refusals of other endpoints") {
  const test::Port port;
  const Listener v4{"127.0.0.1", port};
  Talker probe{"localhost", port, {mk::not_ready("busy"), mk::not_ready("busy"), true}};
  CHECK(probe.poll(epoch).reason() == "busy");        // refused at last
  CHECK(probe.poll(epoch + 1ms).reason() == "busy");  // refused at first
  CHECK(probe.poll(epoch + 2ms));
  CHECK(probe.families == "444");
}

TEST_CASE("ConnectProbe: close() gives the attempt up") {
  const test::Port port;
  const Listener listener{"127.0.0.1", port};
  Talker probe{"127.0.0.1", port};
  CHECK_FALSE(probe.poll(epoch));
  CHECK(probe.pending());
  probe.close(epoch + 250ms);
  CHECK(probe.poll(epoch + 200ms).reason() == "no answer within 200 ms");
  CHECK_FALSE(probe.pending());
}

TEST_CASE("ConnectProbe: after close() no attempt begins") {
  const test::Port port;
  const Listener listener{"127.0.0.1", port};
  Talker probe{"127.0.0.1", port, {true}};
  probe.close(epoch);
  CHECK_FALSE(probe.poll(epoch));
  CHECK_FALSE(probe.pending());
  CHECK(probe.families.empty());
}

TEST_CASE("ConnectProbe: the reason of an attempt that is cut counts if it was long") {
  const test::Port port;
  const Listener listener{"127.0.0.1", port};
  Talker probe{"127.0.0.1", port, {mk::not_ready("busy")}};
  CHECK(probe.poll(epoch).reason() == "busy");
  CHECK_FALSE(probe.poll(epoch + 1s));
  CHECK(probe.pending());
  SUBCASE("short: the earlier reason stays") {
    probe.close(epoch + 2s);
    CHECK(probe.poll(epoch + 2s).reason().empty());
  }
  SUBCASE("long") {
    probe.close(epoch + 2001ms);
    CHECK(probe.poll(epoch + 2001ms).reason() == "no answer within 1 s");
  }
  CHECK_FALSE(probe.pending());
}

TEST_CASE("ConnectProbe: a connection is ready; before the start no time counts as waited") {
  const test::Port port;
  const Listener listener{"127.0.0.1", port};
  ConnectProbe probe{Target{"127.0.0.1", static_cast<std::uint16_t>(port.number())}};
  CHECK(probe.poll(epoch));
  ConnectProbe refused{Target{"127.0.0.1", static_cast<std::uint16_t>(test::Port{}.number())}};
  CHECK_FALSE(refused.poll(epoch + 1h));
  mk::WaitSet waits;
  refused.wait(epoch + 1h, waits);
  CHECK(waits.deadline() == epoch + 1h + 500us);
}

TEST_CASE("ConnectProbe: port 0 is the port that the service listens on") {
  Service service;
  Finder probe{"127.0.0.1", service.process};
  CHECK(probe.poll(epoch).reason() == "it listens on no TCP port of 127.0.0.1");
  CHECK_FALSE(probe.pending());
  CHECK(service.port == 0);
  const test::Port port;
  const Listener listener{"127.0.0.1", port};
  CHECK(probe.poll(epoch + 1ms));
  CHECK(service.port == port.number());
}

TEST_CASE("ConnectProbe: of several ports of the service the one that answers as wanted counts") {
  Service service;
  const test::Port admin, real;
  const Listener first{"127.0.0.1", admin};
  Finder probe{"127.0.0.1", service.process, real.number()};
  CHECK(probe.poll(epoch).reason() == "no");
  CHECK(service.port == 0);
  const Listener second{"127.0.0.1", real};
  CHECK(probe.poll(epoch + 1ms));
  CHECK(service.port == real.number());
  CHECK(probe.tried.back() == real.number());
}

TEST_CASE("ConnectProbe: a port that was found before comes first, but not each time") {
  Service service;
  const test::Port one, other;
  const Listener first{"127.0.0.1", one}, second{"127.0.0.1", other};
  for (const auto* const known : {&one, &other}) {
    service.port = static_cast<std::uint16_t>(known->number());
    Finder probe{"127.0.0.1", service.process, 1};
    CHECK_FALSE(probe.poll(epoch));
    CHECK_FALSE(probe.poll(epoch + 1ms));
    REQUIRE(probe.tried.size() == 4);
    CHECK(probe.tried[0] == known->number());
    CHECK(probe.tried[2] != known->number());  // it may be mute
    CHECK(service.port == known->number());
  }
}

TEST_CASE("ConnectProbe: a port that another check has connected to is replaced by a found one") {
  Service service;
  const test::Port port;
  const Listener listener{"127.0.0.1", port};
  service.port = 1;
  Finder probe{"127.0.0.1", service.process};
  CHECK(probe.poll(epoch));
  CHECK(service.port == port.number());
}

TEST_CASE("ConnectProbe: with port 0 only listeners at the host's address count") {
  Service service;
  const test::Port there, everywhere;
  const Listener far{"127.0.0.2", there};
  Finder here{"127.0.0.1", service.process}, local{"localhost", service.process},
      other{"127.0.0.2", service.process}, any{"0.0.0.0", service.process};
  CHECK_FALSE(here.poll(epoch));
  CHECK_FALSE(local.poll(epoch));
  CHECK_FALSE(any.poll(epoch));
  CHECK(other.poll(epoch));
  CHECK(service.port == there.number());
  const Listener wide{"0.0.0.0", everywhere};
  CHECK(here.poll(epoch + 1ms));
  CHECK(local.poll(epoch + 1ms));
  CHECK(any.poll(epoch + 1ms));
  CHECK(service.port == everywhere.number());
  CHECK(other.poll(epoch + 1ms));
}

TEST_CASE("ConnectProbe: with port 0 localhost is ::1, too") {
  if (!test::has_ipv6()) return;
  Service service;
  const test::Port port;
  const Listener listener{"::1", port};
  Finder v4{"127.0.0.1", service.process}, local{"localhost", service.process};
  CHECK_FALSE(v4.poll(epoch));
  CHECK(local.poll(epoch));
  CHECK(service.port == port.number());
}

TEST_CASE("ConnectProbe: a listener of others cannot hold, if it has to be the service's") {
  const test::Port port;
  mk::TCPExecutor thief{test::helper("listen", "127.0.0.1", port.str()),
                        mk::TCPCheck{"127.0.0.1", port.number()}, test::in_time};
  thief.start();
  mk::Executor service{test::helper("sleep", "60000")};
  const pid_t leader = service.start().pid(), guardian = test::parent_of(leader);
  const auto number = static_cast<std::uint16_t>(port.number());
  const mk::Process guarded{leader, no_streams, true, {.since = epoch, .guardian = guardian}},
      bare{leader, no_streams, true, {.since = epoch}};
  const auto target = [&](bool owned) {
    return Target{.host = "localhost", .port = number, .owned = owned};
  };
  const auto message = test::message_of<mk::CannotHold>(
      [&] { (void)ConnectProbe(target(true), &guarded).poll(epoch); });
  CHECK(message == "port localhost:" + port.str() + " is held by pid " +
                       std::to_string(thief.pid()) + " (" + test::helper() + " listen 127.0.0.1 " +
                       port.str() + "), which is not of this service");
  CHECK(ConnectProbe(target(false), &guarded).poll(epoch));
  CHECK(ConnectProbe(target(true), &bare).poll(epoch));  // no tree is kept
  CHECK(ConnectProbe(target(true)).poll(epoch));         // before the start
}

TEST_CASE("ConnectProbe: it is ready with a note where the owner cannot be told") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: needs root");
    return;
  }
  const test::Port port;
  const Listener listener{"127.0.0.1", port};
  CHECK(test::in_child([number = static_cast<std::uint16_t>(port.number())] {
          ::closefrom(3);  // the listener, too
          if (!test::become_nobody()) return false;
          mk::Executor service{"sleep 60"};
          const pid_t leader = service.start().pid();
          const mk::Process guarded{
              leader, no_streams, true, {.since = epoch, .guardian = test::parent_of(leader)}};
          ConnectProbe probe{Target{.host = "127.0.0.1", .port = number, .owned = true}, &guarded};
          const auto answer = probe.poll(epoch);
          return answer && answer.reason() ==
                               "its listener may be another's: a process of user root that /proc "
                               "hides listens there";
        }) == 0);
}
