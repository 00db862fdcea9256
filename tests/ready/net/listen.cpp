// SPDX-License-Identifier: BSL-1.0
#include <sys/socket.h>
#include <unistd.h>
#include <chrono>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/laws.hpp>

#include "errors.hpp"
#include "net.hpp"
#include "process.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::helper;
using test::message_of;

namespace {

constexpr mk::TimePoint epoch{100h};
const mk::OutputStreams no_streams;

/// A socket of this process that listens.
class Listener {
 public:
  Listener(const std::string& host, const test::Port& port) : socket_{host, port.number()} {
    REQUIRE(socket_.can_bind());
    REQUIRE(::listen(socket_.fd(), 16) == 0);
  }

 private:
  test::Endpoint socket_;
};

}  // namespace

TEST_CASE("ListenCheck: it names the port and the host") {
  CHECK(mk::ListenCheck{}.describe() == "a listener on a TCP port");
  CHECK(mk::ListenCheck{.port = 80}.describe() == "a listener on port 80");
  CHECK(mk::ListenCheck{.host = "::1"}.describe() == "a listener on a TCP port of ::1");
  CHECK(mk::ListenCheck{.host = "::1", .port = 80}.describe() == "a listener on [::1]:80");
}

TEST_CASE("ListenCheck: ready when the tree listens, and asked after pauses that adapt") {
  std::uint16_t port = 0;
  const mk::Process process{::getpid(), no_streams, true, {.since = epoch, .port = &port}};
  const test::Port one, other;
  const mk::ListenCheck any, wanted{.port = other.number()}, there{.host = "127.0.0.2"};
  const auto any_probe = any.probe(process), wanted_probe = wanted.probe(process),
             there_probe = there.probe(process);
  CHECK_FALSE(any_probe->poll(epoch));
  CHECK_FALSE(any_probe->pending());
  mk::WaitSet waits;
  any_probe->wait(epoch + 6400ms, waits);
  CHECK(waits.size() == 0);
  CHECK(waits.deadline() == epoch + 6500ms);

  const Listener first{"127.0.0.1", one};
  CHECK(any_probe->poll(epoch));
  CHECK(port == one.number());
  CHECK_FALSE(wanted_probe->poll(epoch));
  CHECK_FALSE(there_probe->poll(epoch));
  const Listener second{"0.0.0.0", other};
  CHECK(wanted_probe->poll(epoch));
  CHECK(port == other.number());
  CHECK(there_probe->poll(epoch));
  port = 0;
  CHECK(any_probe->poll(epoch));
  CHECK(port == 0);  // neither is the port
}

TEST_CASE("ListenCheck: a service that chooses its port") {
  mk::Executor server{helper("listen", "127.0.0.1", "0", "delay=50"), mk::ListenCheck{},
                      test::in_time};
  server.start();
  CHECK(test::connects("127.0.0.1", server.port()));
  CHECK(server.timeline().checks[0].passed - server.timeline().spawned >= 50ms);
  CHECK(server.timeline().checks[0].note.empty());
}

TEST_CASE("ListenCheck: a stranger's listener does not count") {
  const test::Port port;
  std::optional<Listener> stranger;
  mk::Executor server{helper("sleep", "60000"),
                      [&](const mk::Process&) {
                        if (!stranger) stranger.emplace("127.0.0.1", port);
                        return true;
                      },
                      mk::ListenCheck{.port = port.number()}, mk::TimeoutBudget{.start = 300ms}};
  const auto message = message_of<mk::TimeoutExpired>([&] { server.start(); });
  CHECK(message.find("waited for: a listener on port " + port.str()) != std::string::npos);
  CHECK(message.find("note: it listens on no TCP port") != std::string::npos);
}

TEST_CASE("ListenCheck: the message of a time-out has the ports that the tree listens on") {
  const test::Port asked, real;
  const auto start = [&](std::chrono::milliseconds budget) {
    mk::Executor{helper("listen", "127.0.0.1", real.str()), mk::ListenCheck{.port = asked.number()},
                 mk::TimeoutBudget{.start = budget}}
        .start();
  };
  test::message_of_timeout(100ms, start, "note: it listens on 127.0.0.1:" + real.str() + " (pid ");
}

TEST_CASE("ListenCheck: a listener before the start is AlreadyRunning") {
  const test::Port port;
  const Listener listener{"127.0.0.1", port};
  mk::Executor any{helper("listen", "127.0.0.2", port.str()),
                   mk::ListenCheck{.port = port.number()}, test::in_time};
  const auto message = message_of<mk::AlreadyRunning>([&] { any.start(); });
  CHECK(message.starts_with("port " + port.str() + " has a listener, pid " +
                            std::to_string(::getpid()) + " ("));
  // Another address of the same port is another thing.
  mk::Executor there{helper("listen", "127.0.0.2", port.str()),
                     mk::ListenCheck{.host = "127.0.0.2", .port = port.number()}, test::in_time};
  CHECK_NOTHROW(there.start());
  CHECK(there.port() == port.number());
}

TEST_CASE("ListenCheck: the end of the command ends the start") {
  mk::Executor server{helper("exit", "3"), mk::ListenCheck{}, test::in_time};
  CHECK_THROWS_AS(server.start(), mk::ProcessExitedWithError);
}

TEST_CASE("ListenCheck: it keeps the laws of a check") {
  const test::Port port;
  CHECK(mk::laws::check_check(mk::ListenCheck{.port = port.number()},
                              mk::Command{.argv = helper("listen", "127.0.0.1", port.str())}) ==
        mk::laws::Broken{});
}
