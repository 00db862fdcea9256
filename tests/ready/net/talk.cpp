// SPDX-License-Identifier: BSL-1.0
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/laws.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "net.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::contains;
using test::helper;
using test::in_time;
using test::message_of;

namespace {

constexpr mk::TimePoint epoch{100h};
const mk::OutputStreams no_streams;
const mk::Process process{::getpid(), no_streams, true, {.since = epoch}};

/// A server in this process, for one connection at a time.
class Server {
 public:
  Server() {
    if (!socket_.can_bind() || ::listen(socket_.fd(), 16) != 0)
      throw std::system_error{errno, std::generic_category(), "no listener"};
  }
  Server(const Server&) = delete;
  ~Server() { close(); }

  [[nodiscard]] int port() const { return port_.number(); }
  void accept() {
    close();
    connection_ = ::accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    REQUIRE(connection_ >= 0);
  }
  void say(std::string_view text) const {
    CHECK(::send(connection_, text.data(), text.size(), MSG_NOSIGNAL) == std::ssize(text));
  }
  [[nodiscard]] std::string heard() const {
    char text[4096];
    const auto size = ::recv(connection_, text, sizeof text, MSG_DONTWAIT);
    return {text, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  }
  void half_close() const { ::shutdown(connection_, SHUT_WR); }
  void reset() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(connection_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
  }
  void close() {
    if (connection_ >= 0) ::close(std::exchange(connection_, -1));
  }

 private:
  test::Port port_;
  test::Endpoint socket_{"127.0.0.1", port_.number()};
  int connection_ = -1;
};

/// A check in the middle of a talk with a server of this process.
struct Talk {
  explicit Talk(std::string send = "PING\r\n", std::optional<mk::LineMatcher> expect = "^\\+PONG")
      : check{.port = server.port(), .send = std::move(send), .expect = std::move(expect)} {
    CHECK_FALSE(probe->poll(epoch));
    CHECK(probe->pending());
    server.accept();
  }

  /// The answer in a loop of polls at this moment; the kernel may take a moment to hand over.
  mk::Readiness answer_at(mk::TimePoint now) {
    mk::Readiness answer;
    CHECK(test::eventually([&] {
      answer = probe->poll(now);
      return !probe->pending();
    }));
    return answer;
  }
  [[nodiscard]] mk::TimePoint woken_at(mk::TimePoint now) const {
    mk::WaitSet waits;
    probe->wait(now, waits);
    return waits.deadline();
  }

  Server server;
  mk::TalkCheck check;
  std::unique_ptr<mk::Probe> probe = check.probe(process);
};

std::string refusal(const mk::TalkCheck& check) {
  return test::refusal([&] { (void)check.probe(process); });
}

}  // namespace

TEST_CASE("TalkCheck: its members may be named in each of these orders, and it names itself") {
  const mk::TalkCheck tcp{
      .host = "127.0.0.1", .port = 6379, .send = "PING\r\n", .expect = "^\\+PONG"};
  CHECK(tcp.describe() == "an answer of 127.0.0.1:6379 with '^\\+PONG'");
  const mk::TalkCheck socket{.send = "PING\r\n", .expect = "^\\+PONG", .socket = "/run/redis"};
  CHECK(socket.describe() == "an answer of /run/redis with '^\\+PONG'");
  const mk::TalkCheck udp{
      .host = "::1", .port = 53, .send = "?", .expect = "!", .udp = true, .may_be_there = true};
  CHECK(udp.describe() == "an answer of [::1]:53 over UDP with '!'");
  CHECK(mk::TalkCheck{.port = 25}.describe() == "an answer of 127.0.0.1:25");
  CHECK(mk::TalkCheck{.port = 25, .expect = [](std::string_view) { return true; }}.describe() ==
        "an answer of 127.0.0.1:25 with a line that matches");
  CHECK(mk::TalkCheck{.host = "localhost", .port = 0}.describe() ==
        "an answer of localhost, on a port that it chooses,");
}

TEST_CASE("TalkCheck: a check without a place, or with two, is refused") {
  CHECK(refusal({.send = "a"}) == "a TalkCheck has neither a port nor a socket");
  CHECK(refusal({.port = 1, .socket = "/a"}) == "a TalkCheck has both a port and a socket");
  CHECK(refusal({.send = "a", .socket = "/a", .udp = true}) ==
        "a TalkCheck talks over UDP to a port only");
  CHECK(refusal({.port = 1, .udp = true}) == "a TalkCheck over UDP has to send something");
  CHECK(refusal({.port = 0, .send = "a", .udp = true}) ==
        "a TalkCheck over UDP needs the number of a port");
  mk::Executor service{"sleep 300", mk::TalkCheck{.send = "a"}, in_time};
  CHECK(contains(message_of<mk::ExecutorError>([&] { service.start(); }),
                 "a TalkCheck has neither a port nor a socket"));
  CHECK(service.pid() == 0);
}

TEST_CASE("TalkCheck: it sends, and takes the answer in any pieces") {
  Talk talk;
  CHECK(talk.server.heard() == "PING\r\n");
  for (const char c : std::string_view{"hello\r\n+PON"}) {
    talk.server.say({&c, 1});
    CHECK_FALSE(talk.probe->poll(epoch + 1ms));
    CHECK(talk.probe->pending());
  }
  talk.server.say("G");  // without an end
  CHECK(talk.answer_at(epoch + 2ms));
}

TEST_CASE("TalkCheck: nothing is sent where the server speaks first; any byte will do") {
  Talk talk{"", "^220 "};
  CHECK(talk.server.heard().empty());
  talk.server.say("220-mail.example\r\n");
  CHECK_FALSE(talk.probe->poll(epoch));
  talk.server.say("220 ready\r\n");
  CHECK(talk.answer_at(epoch));
  Talk any{"a", {}};
  any.server.say("\n");
  CHECK(any.answer_at(epoch));
}

TEST_CASE("TalkCheck: an answer that does not match is over soon after its line") {
  Talk talk;
  talk.server.say("-LOADING Redis is loading the dataset in memory\r\n");
  CHECK(test::eventually([&] {
    CHECK_FALSE(talk.probe->poll(epoch + 1ms));
    return talk.woken_at(epoch + 1ms) == epoch + 51ms;
  }));
  CHECK(talk.probe->poll(epoch + 51ms).reason() ==
        "it answered '-LOADING Redis is loading the dataset in memory'");
  CHECK_FALSE(talk.probe->pending());
  // The next attempt has a connection of its own; after 80 s it waits longer.
  CHECK_FALSE(talk.probe->poll(epoch + 80s));
  talk.server.accept();
  CHECK(talk.server.heard() == "PING\r\n");
  talk.server.say("-LOADING\r\n");
  CHECK(test::eventually([&] {
    CHECK_FALSE(talk.probe->poll(epoch + 80s));
    return talk.woken_at(epoch + 80s) == epoch + 90s;
  }));
  // A line that has begun has the time of the attempt.
  talk.server.say("+PO");
  CHECK(test::eventually([&] {
    CHECK_FALSE(talk.probe->poll(epoch + 80s));
    return talk.woken_at(epoch + 80s) == epoch + 161s;
  }));
  talk.server.say("NG\r\n");
  CHECK(talk.answer_at(epoch + 100s));
}

TEST_CASE("TalkCheck: a mute server costs the time of an attempt") {
  Talk talk;
  CHECK_FALSE(talk.probe->poll(epoch + 999ms));
  CHECK(talk.probe->poll(epoch + 1s).reason() == "no answer within 1 s");
  CHECK_FALSE(talk.probe->pending());
}

TEST_CASE("TalkCheck: the answer at the deadline is the reason") {
  Talk talk;
  talk.server.say("+PO");
  CHECK(test::eventually([&] {
    mk::WaitSet waits;
    talk.probe->wait(epoch, waits);
    return waits.ask();
  }));
  CHECK_FALSE(talk.probe->poll(epoch + 1ms));
  talk.probe->close(epoch + 2ms);
  CHECK(talk.probe->poll(epoch + 2ms).reason() == "it answered '+PO'");
  CHECK_FALSE(talk.probe->pending());
}

TEST_CASE("TalkCheck: the end of the connection") {
  Talk silent;
  silent.server.half_close();
  CHECK(silent.answer_at(epoch).reason() == "closed without an answer");
  Talk other;
  other.server.say("\r\nHTTP/1.1 400 Bad Request\r\nmore");
  other.server.half_close();
  CHECK(other.answer_at(epoch).reason() == "it answered 'HTTP/1.1 400 Bad Request'");
  Talk right;
  right.server.say("+PONG");
  right.server.half_close();
  CHECK(right.answer_at(epoch));
  Talk reset;
  (void)reset.server.heard();
  reset.server.reset();
  CHECK(reset.answer_at(epoch).reason() == "connection reset by peer");
}

TEST_CASE("TalkCheck: an endless answer counts up to 64 KiB, and its quote is short") {
  Talk talk;
  const std::string block(4096, 'x');
  std::optional<mk::Readiness> answer;
  for (int i = 0; i < 32 && !answer; ++i) {
    if (i < 16) talk.server.say(block);
    auto now = talk.probe->poll(epoch);
    if (!talk.probe->pending()) answer = std::move(now);
  }
  if (!answer) answer = talk.answer_at(epoch);
  CHECK(answer->reason() ==
        "it answered '" + std::string(200, 'x') + " [...]', and more than 64 KiB");
  Talk binary;
  binary.server.say(std::string{"\0\x1b\n", 3});
  binary.server.half_close();
  CHECK(binary.answer_at(epoch).reason() == "it answered '\\x00\\x1b'");
}

TEST_CASE("TalkCheck: a callable is as it was given in each attempt") {
  Talk talk{"a", [lines = 0](std::string_view) mutable { return ++lines == 2; }};
  talk.server.say("1\n");
  talk.server.half_close();
  CHECK(talk.answer_at(epoch).reason() == "it answered '1'");
  CHECK_FALSE(talk.probe->poll(epoch + 1s));
  talk.server.accept();
  talk.server.say("1\n");
  CHECK_FALSE(talk.probe->poll(epoch + 1s));
  talk.server.say("2\n");
  CHECK(talk.answer_at(epoch + 1s));
}

TEST_CASE("TalkCheck: the deadline holds, alone and in each composed check") {
  const auto check_deadline = [](auto make, const std::string& last) {
    INFO(last);
    const test::Port port;
    // A request that the helper answers endlessly, or not at all.
    const mk::TalkCheck check{
        .port = port.number(), .send = "GET / HTTP/1.0\r\n\r\n", .expect = "^never$"};
    for (const std::string behaviour : {"mute", "endless-body", "drip"}) {
      INFO(behaviour);
      const auto start = [&](std::chrono::milliseconds budget) {
        mk::Executor service{helper("serve", "127.0.0.1", port.str(), behaviour, "interval=20"),
                             make(check, budget), mk::TimeoutBudget{.start = budget}};
        const test::Elapsed elapsed;
        try {
          service.start();
        } catch (...) {
          CHECK(elapsed >= budget / 2);
          CHECK(elapsed < budget + 5s);
          CHECK_FALSE(service.running());
          throw;
        }
      };
      test::message_of_timeout(
          700ms, start, behaviour == "mute" ? "no answer within " : "it answered 'HTTP/1.1 200");
    }
  };
  using Check = mk::TalkCheck;
  check_deadline([](Check check, auto) { return check; }, "alone");
  check_deadline([](Check check, auto) { return mk::AnyOf{mk::BannerCheck{"never"}, check}; },
                 "any");
  check_deadline(
      [](Check check, auto) { return mk::AllOf{[](const mk::Process&) { return true; }, check}; },
      "all");
  check_deadline([](Check check, auto) { return mk::StableFor{50ms, check}; }, "stable");
  check_deadline([](Check check, auto budget) { return mk::Within{budget * 2 / 3, check}; },
                 "within");
}

TEST_CASE("TalkCheck: in FailsOn, an answer that matches fails the start") {
  const test::Port port;
  mk::Executor service{
      helper("serve", "127.0.0.1", port.str(), "status"), mk::BannerCheck{"never"},
      mk::FailsOn{mk::TalkCheck{
          .port = port.number(), .send = "GET / HTTP/1.0\r\n\r\n", .expect = " 503 "}},
      in_time};
  CHECK(contains(message_of<mk::ExecutorError>([&] { service.start(); }),
                 "it fails on an answer of 127.0.0.1:" + port.str() + " with ' 503 '\n"));
}

TEST_CASE("TalkCheck: who accepts before the start is AlreadyRunning") {
  const Server server;
  const mk::TalkCheck check{.port = server.port(), .expect = "never"};
  mk::Executor service{"sleep 300", check, in_time};
  CHECK(contains(message_of<mk::AlreadyRunning>([&] { service.start(); }),
                 "127.0.0.1:" + std::to_string(server.port()) + " answers, held by pid "));
  const test::TempDir directory;
  const auto path = directory / "socket";
  mk::Executor first{helper("unix", path), mk::UnixSocketCheck{path}, in_time};
  first.start();
  mk::Executor second{"sleep 300", mk::TalkCheck{.send = "a", .socket = path}, in_time};
  CHECK(contains(message_of<mk::AlreadyRunning>([&] { second.start(); }),
                 path + " answers, held by pid " + std::to_string(first.pid())));
  mk::Executor third{
      "sleep 300",
      mk::TalkCheck{.send = "a", .expect = "^a$", .socket = path, .may_be_there = true}, in_time};
  CHECK(third.start().running());
}

TEST_CASE("TalkCheck: a listener of somebody else is not the service") {
  const test::Port port;
  mk::Executor other{helper("serve", "127.0.0.1", port.str(), "ok"),
                     mk::TCPCheck{"127.0.0.1", port.number()}, in_time};
  const mk::TalkCheck check{.port = port.number(), .send = "GET / HTTP/1.0\r\n\r\n"};
  mk::Executor service{"sleep 300", [&](const mk::Process&) { return other.start().running(); },
                       check, in_time};
  const auto message = message_of<mk::ExecutorError>([&] { service.start(); });
  CAPTURE(message);
  CHECK(contains(message, "pid " + std::to_string(other.pid())));
}

TEST_CASE("TalkCheck: a Unix socket that comes later wakes it") {
  const test::TempDir directory;
  const auto path = directory / "a/socket";
  mk::Executor service{mk::Shell{"sleep 0.2; mkdir " + (directory / "a") + "; exec " +
                                 test::line(helper("unix", path))},
                       mk::TalkCheck{.send = "PING\n", .expect = "^PING$", .socket = path},
                       in_time};
  CHECK(service.start().running());
  CHECK(service.start().running());  // it runs already
}

TEST_CASE("TalkCheck: over UDP, a refusal is a reason, and a lost datagram is sent anew") {
  const test::Port port;
  const mk::TalkCheck check{.port = port.number(), .send = "ping", .expect = "^ping$", .udp = true};
  mk::Executor silent{"sleep 300", check, mk::TimeoutBudget{.start = 300ms}};
  CHECK(contains(message_of<mk::TimeoutExpired>([&] { silent.start(); }),
                 "\n  last answer: connection refused"));
  mk::Executor service{helper("udp", "127.0.0.1", port.str(), "delay=100", "lose=1"), check,
                       in_time};
  const test::Elapsed elapsed;
  CHECK(service.start().running());
  CHECK(elapsed >= 1s);  // the attempt with the lost datagram
  mk::Executor second{"sleep 300", check, in_time};
  CHECK(message_of<mk::AlreadyRunning>([&] {
          second.start();
        }).starts_with("127.0.0.1:" + port.str() + " answers over UDP: "));
  auto another = check;
  another.expect = "^pong$";
  const auto third = [&](std::chrono::milliseconds budget) {
    mk::Executor{"sleep 300", another, mk::TimeoutBudget{.start = budget}}.start();
  };
  test::message_of_timeout(300ms, third, "\n  last answer: it answered 'ping'");
}

TEST_CASE("TalkCheck: each datagram begins a line, and an empty one is no answer") {
  const test::Port port;
  const auto start = [&](const char* reply, std::optional<mk::LineMatcher> expect,
                         std::chrono::milliseconds budget = 30s) {
    INFO(reply);
    mk::Executor service{
        helper("udp", "127.0.0.1", port.str(), std::string{"reply="} + reply),
        mk::TalkCheck{
            .port = port.number(), .send = "ping", .expect = std::move(expect), .udp = true},
        mk::TimeoutBudget{.start = budget}};
    try {
      service.start();
      return std::string{"ready"};
    } catch (const mk::TimeoutExpired& error) {
      return std::string{error.what()};
    }
  };
  CHECK(start("one\\ntwo", "^two$") == "ready");
  CHECK(start("one", {}) == "ready");
  CHECK(start("", {}, 500ms) != "ready");
  CHECK(start("", "^$", 500ms) != "ready");
}

TEST_CASE("TalkCheck: it keeps the laws of a check") {
  const test::Port port;
  const mk::TalkCheck check{
      .port = port.number(), .send = "GET / HTTP/1.0\r\n\r\n", .expect = "^HTTP/1.1 200"};
  CHECK(mk::laws::check_check(check, mk::Command{helper("serve", "127.0.0.1", port.str(), "ok")}) ==
        mk::laws::Broken{});
}

TEST_CASE("TalkCheck: Redis answers PING over TCP and over its Unix socket") {
  const test::Port port;
  const test::TempDir directory;
  auto words = test::redis_server(port.str(), directory.path());
  const auto path = directory / "redis";
  words.insert(words.end(), {"--unixsocket", path});
  mk::Executor redis{
      words,
      mk::TalkCheck{
          .host = "127.0.0.1", .port = port.number(), .send = "PING\r\n", .expect = "^\\+PONG"},
      mk::TalkCheck{.send = "PING\r\n", .expect = "^\\+PONG$", .socket = path},
      mk::TimeoutBudget{.start = 20s}};
  if (!test::starts_if_installed(redis)) return;
  CHECK(redis.running());
  redis.wait_for(mk::TalkCheck{.port = port.number(), .send = "ECHO hi\r\n", .expect = "^hi$"},
                 10s);
  const auto message = message_of<mk::TimeoutExpired>([&] {
    redis.wait_for(mk::TalkCheck{.port = port.number(), .send = "NOPE\r\n", .expect = "^\\+"},
                   300ms);
  });
  CHECK(contains(message, "\n  last answer: it answered '-ERR unknown command"));
}
