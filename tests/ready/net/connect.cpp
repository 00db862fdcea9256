// SPDX-License-Identifier: BSL-1.0
// Connections to sockets of this process, at made-up moments.
#include <poll.h>
#include <sys/socket.h>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/output/streams.hpp>
#include <mirakuru/ready/net/connect.hpp>

#include "net.hpp"

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
