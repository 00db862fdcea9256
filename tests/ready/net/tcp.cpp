// SPDX-License-Identifier: BSL-1.0
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "net.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::check_timeout;
using test::contains;
using test::has_ipv6;
using test::helper;
using test::line;
using test::mark;
using test::message_of;
using test::text_of;
using test::timeless;

namespace {

/// Words that run the helper program as a server that only listens.
template <class... Words>
std::vector<std::string> listener(const std::string& host, const test::Port& port, Words... words) {
  return helper("listen", host, port.str(), words...);
}

/// A socket of this process that listens.
class OwnListener {
 public:
  OwnListener(const std::string& host, const test::Port& port, int backlog = 16)
      : socket_{host, port.number()} {
    if (!socket_.can_bind() || ::listen(socket_.fd(), backlog) != 0)
      throw std::system_error{errno, std::generic_category(), "no listener"};
  }

 private:
  test::Endpoint socket_;
};

/// A socket of this process that listens on 127.0.0.1, with a full queue: no connection succeeds.
class FullListener {
 public:
  explicit FullListener(const test::Port& port) : listener_{"127.0.0.1", port, 0} {
    const sockaddr_in address{.sin_family = AF_INET,
                              .sin_port = htons(static_cast<std::uint16_t>(port.number())),
                              .sin_addr = {htonl(INADDR_LOOPBACK)},
                              .sin_zero = {}};
    // The kernel accepts one connection; the next ones wait for room in the queue.
    for (bool full = false; !full;) {
      clients_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      const int client = clients_.back();
      ::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address);
      pollfd made{client, POLLOUT, 0};
      full = ::poll(&made, 1, 50) == 0;
    }
  }
  FullListener(const FullListener&) = delete;
  FullListener& operator=(const FullListener&) = delete;
  ~FullListener() {
    for (const int client : clients_) ::close(client);
  }

 private:
  OwnListener listener_;
  std::vector<int> clients_;
};

bool is_ipv6(const std::string& host) { return host.find(':') != std::string::npos; }

/// A process as messages name it.
std::string named(pid_t pid) {
  auto words = test::slurp("/proc/" + std::to_string(pid) + "/cmdline");
  if (!words.empty()) words.pop_back();
  std::replace(words.begin(), words.end(), '\0', ' ');
  return "pid " + std::to_string(pid) + " (" + words + ')';
}

// Names that do not reach the real resolver.
constexpr auto unknown_name = "unknown.mirakuru.test";
constexpr auto slow_name = "slow.mirakuru.test";
std::atomic<bool> slow_is_over = false;

}  // namespace

/// The resolver of the system, except for the names above: the unknown names differ between
/// machines.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** result) {
  const std::string asked = name != nullptr ? name : "";
  if (asked == slow_name) slow_is_over.wait(false);
  if (asked == unknown_name || asked == slow_name) return EAI_NONAME;
  static const auto system =
      reinterpret_cast<decltype(&getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  return system(name, service, hints, result);
}

TEST_CASE("TCPCheck: ready when the port accepts, and not before [scenario 45]") {
  const test::Port port;
  const auto tag = mark();
  const auto words = listener("127.0.0.1", port, "delay=300", tag);
  mk::TCPExecutor server{words, mk::TCPCheck{"127.0.0.1", port.number()},
                         mk::TimeoutBudget{.start = 20s}};
  CHECK(server.command() == line(words));
  CHECK_FALSE(server.running());
  const test::Elapsed elapsed;
  server.start();
  CHECK(elapsed >= 300ms);
  CHECK(server.running());
  CHECK(test::connects("127.0.0.1", port.number()));
  CHECK(test::commands_matching(tag) == 1);
  server.stop();
  CHECK_FALSE(server.running());
  CHECK_FALSE(test::connects("127.0.0.1", port.number()));
  CHECK(test::processes_matching(tag) == 0);
}

TEST_CASE("TCPCheck: without a host it is about 127.0.0.1") {
  CHECK(mk::TCPCheck{.port = 80}.describe() == mk::TCPCheck{"127.0.0.1", 80}.describe());
}

TEST_CASE("TCPCheck: messages name the command and the check [scenario 45b]") {
  const mk::TCPCheck check{"localhost", 1025};
  CHECK(check.describe() == "a connection to localhost:1025");
  CHECK(mk::TCPExecutor{"smtpd -n 'a b'", check}.command() == "smtpd -n 'a b'");
  CHECK(mk::TCPExecutor{{"smtpd", "-n", "a b"}, check}.command() == "smtpd -n 'a b'");
  mk::TCPExecutor never{"sleep 300", mk::TCPCheck{"127.0.0.1", test::Port{}.number()},
                        mk::TimeoutBudget{.start = 50ms}};
  try {
    never.start();
    FAIL("start() returned");
  } catch (const mk::TimeoutExpired& error) {
    const std::string message = error.what();
    CHECK(message.find("\n  command: sleep 300\n") != std::string::npos);
    CHECK(message.find("\n  waited for: a connection to 127.0.0.1:") != std::string::npos);
  }
}

TEST_CASE("TCPCheck: a port that opens too late is a timeout [scenario 46]") {
  const test::Port port;
  const auto tag = mark();
  mk::TCPExecutor server{listener("127.0.0.1", port, "delay=10000", tag),
                         mk::TCPCheck{"127.0.0.1", port.number()},
                         mk::TimeoutBudget{.start = 300ms}};
  const auto start = [&] {
    try {
      server.start();
    } catch (const mk::TimeoutExpired& error) {
      CHECK(error.timeout() == 300ms);
      throw;
    }
  };
  check_timeout(300ms, start, [](const std::string& message) {
    return contains(message, "timed out after 300 ms\n");
  });
  CHECK_FALSE(server.running());
  CHECK(test::processes_matching(tag) == 0);
}

TEST_CASE("TCPCheck: a port that another executor's server has is refused [scenario 47]") {
  const test::Port port;
  const test::TempDir dir;
  const auto words = test::python_server(port.str(), dir.path());
  mk::TCPExecutor first{words, mk::TCPCheck{"127.0.0.1", port.number()}};
  mk::TCPExecutor second{words, mk::TCPCheck{"127.0.0.1", port.number()}};
  first.start();
  const auto message = message_of<mk::AlreadyRunning>([&] { second.start(); });
  CHECK(contains(message, "seems to be already running"));
  CHECK(contains(message, named(first.pid())));
  CHECK_FALSE(second.running());
  CHECK_THROWS_AS(mk::TCPExecutor(words, mk::TCPCheck{"127.0.0.1", port.number()}).start(),
                  mk::AlreadyRunning);
  CHECK(test::commands_matching(dir.path()) == 1);
  CHECK(first.running());
  first.stop();
  second.start();
  CHECK(second.running());
  second.stop();
  CHECK(test::processes_matching(dir.path()) == 0);
}

TEST_CASE("TCPCheck: every form of a host is ready, then taken [defect 7, difference 6]") {
  const std::pair<std::string, std::string> served_and_asked[] = {
      {"127.0.0.1", "127.0.0.1"}, {"0.0.0.0", "127.0.0.1"},
      {"127.0.0.1", "localhost"}, {"::1", "::1"},
      {"::1", "[::1]"},           {"::1", "0:0:0:0:0:0:0:1"},
      {"::1", "localhost"},       {"::", "::1"},
      {"::", "127.0.0.1"},
  };
  const bool ipv6 = has_ipv6();
  for (const auto& [served, asked] : served_and_asked) {
    if (is_ipv6(served) && !ipv6) continue;
    CAPTURE(served);
    CAPTURE(asked);
    const test::Port port;
    const bool both = served == "::";
    const auto tag = mark();
    const auto words = listener(served, port, "delay=50", both ? "v6only=0" : "v6only=1", tag);
    mk::TCPExecutor first{words, mk::TCPCheck{asked, port.number()},
                          mk::TimeoutBudget{.start = 20s}};
    mk::TCPExecutor second{words, mk::TCPCheck{asked, port.number()}};
    first.start();
    CHECK(first.running());
    CHECK(contains(message_of<mk::AlreadyRunning>([&] { second.start(); }), named(first.pid())));
    CHECK(test::commands_matching(tag) == 1);
    first.stop();
    CHECK(test::processes_matching(tag) == 0);
  }
}

TEST_CASE("TCPCheck: a name of the hosts file is ready, then taken") {
  // The first name of a loopback address that the library does not resolve by itself.
  std::string address, name;
  std::ifstream hosts{"/etc/hosts"};
  for (std::string text; name.empty() && std::getline(hosts, text);) {
    std::istringstream words{text.substr(0, text.find('#'))};
    words >> address;
    if (!address.starts_with("127.")) continue;
    for (std::string word; name.empty() && words >> word;)
      if (word != "localhost") name = word;
  }
  if (name.empty()) {
    MESSAGE("skipped: no name in the hosts file but localhost");
    return;
  }
  CAPTURE(name);
  const test::Port port;
  const auto tag = mark();
  const auto words = listener(address, port, "delay=50", tag);
  mk::TCPExecutor first{words, mk::TCPCheck{name, port.number()}, mk::TimeoutBudget{.start = 20s}};
  mk::TCPExecutor second{words, mk::TCPCheck{name, port.number()}};
  first.start();
  CHECK(first.running());
  const auto message = message_of<mk::AlreadyRunning>([&] { second.start(); });
  CHECK(contains(message, name + ':' + port.str() + " answers"));
  CHECK(contains(message, named(first.pid())));
  first.stop();
  CHECK(test::processes_matching(tag) == 0);
}

TEST_CASE("TCPCheck: an unknown name is a timeout with the resolver's reason") {
  const test::Port port;
  const auto tag = mark();
  mk::TCPExecutor server{listener("127.0.0.1", port, tag),
                         mk::TCPCheck{unknown_name, port.number()},
                         mk::TimeoutBudget{.start = 300ms}};
  check_timeout(
      300ms, [&] { server.start(); },
      [](const std::string& message) {
        return contains(message, std::string{"waited for: a connection to "} + unknown_name) &&
               contains(message, "\n  last answer: host not found");
      });
  CHECK(test::processes_matching(tag) == 0);
}

TEST_CASE("TCPCheck: a slow resolver does not make the start last longer") {
  const test::Port port;
  const auto tag = mark();
  mk::TCPExecutor server{listener("127.0.0.1", port, tag), mk::TCPCheck{slow_name, port.number()},
                         mk::TimeoutBudget{.start = 300ms}};
  const test::Elapsed elapsed;
  CHECK_THROWS_AS(server.start(), mk::TimeoutExpired);
  CHECK(elapsed < 5s);  // the check before the start takes one of them
  CHECK(test::processes_matching(tag) == 0);
  slow_is_over = true;
  slow_is_over.notify_all();
}

TEST_CASE("TCPCheck: a taken port is reported with its holder, and nothing is spawned") {
  const test::TempDir dir;
  const auto touched = dir / "touched";
  const auto refused = [&](const char* host, const test::Port& port) {
    mk::TCPExecutor server{helper("touch", touched), mk::TCPCheck{host, port.number()}};
    const auto message = message_of<mk::AlreadyRunning>([&] { server.start(); });
    CHECK_FALSE(server.running());
    CHECK(server.pid() == 0);
    CHECK_FALSE(server.exit_code());
    return message;
  };

  SUBCASE("another process listens") {
    const test::Port port;
    auto other =
        mk::TCPExecutor{listener("127.0.0.1", port), mk::TCPCheck{"127.0.0.1", port.number()}}
            .start();
    const auto message = refused("127.0.0.1", port);
    CHECK(contains(message, "127.0.0.1:" + port.str() + " answers, held by " + named(other.pid())));
  }
  SUBCASE("the test's own process listens") {
    const test::Port port;
    const OwnListener own{"127.0.0.1", port};
    const auto message = refused("127.0.0.1", port);
    CHECK(contains(message, "127.0.0.1:" + port.str() + " answers, held by " + named(::getpid())));
  }
  SUBCASE("two processes share the port, each has its own address") {
    const test::Port port;
    mk::TCPExecutor one{listener("127.0.0.1", port), mk::TCPCheck{"127.0.0.1", port.number()}};
    mk::TCPExecutor two{listener("127.0.0.2", port), mk::TCPCheck{"127.0.0.2", port.number()}};
    one.start();
    two.start();
    CHECK(contains(refused("127.0.0.1", port), named(one.pid())));
    CHECK(contains(refused("127.0.0.2", port), named(two.pid())));
  }
  SUBCASE("two processes share the port, each has its own family") {
    if (!has_ipv6()) return;
    const test::Port port;
    mk::TCPExecutor one{listener("127.0.0.1", port), mk::TCPCheck{"127.0.0.1", port.number()}};
    mk::TCPExecutor two{listener("::1", port, "v6only=1"), mk::TCPCheck{"::1", port.number()}};
    one.start();
    two.start();
    CHECK(contains(refused("127.0.0.1", port), named(one.pid())));
    CHECK(contains(refused("::1", port), named(two.pid())));
  }
  CHECK_FALSE(test::exists(touched));
}

TEST_CASE("TCPCheck: a listener with a full queue does not delay the deadline") {
  const test::Port port;
  const auto tag = mark();
  std::optional<FullListener> full;

  SUBCASE("the listener appears after the check before the start") {
    const auto appears = [&](const mk::Process&) {
      full.emplace(port);
      return true;
    };
    mk::Executor server{helper("sleep", "60000", tag), appears,
                        mk::TCPCheck{"127.0.0.1", port.number()},
                        mk::TimeoutBudget{.start = 700ms}};
    const auto start = [&] {
      full.reset();
      server.start();
    };
    // A single attempt may take a second: the deadline has to end it.
    check_timeout(700ms, start, [](const std::string& message) {
      return contains(message, "\n  last answer: no answer within ");
    });
    CHECK_FALSE(server.running());
  }
  SUBCASE("the listener was there before the start") {
    full.emplace(port);
    mk::TCPExecutor server{helper("sleep", "60000", tag), mk::TCPCheck{"127.0.0.1", port.number()},
                           mk::TimeoutBudget{.start = 300ms}};
    const test::Elapsed elapsed;
    CHECK_THROWS_AS(server.start(), mk::ExecutorError);
    // The check before the start may take a second; the kernel tries for minutes.
    CHECK(elapsed < 6s);
    CHECK_FALSE(server.running());
  }
  CHECK(test::processes_matching(tag) == 0);
}

TEST_CASE("TCPCheck: localhost is ready at ::1 while 127.0.0.1 never answers") {
  if (!has_ipv6()) return;
  const test::Port port;
  const auto tag = mark();
  std::optional<FullListener> full;
  const auto appears = [&](const mk::Process&) {
    full.emplace(port);
    return true;
  };
  mk::Executor server{listener("::1", port, "v6only=1", "delay=200", tag), appears,
                      mk::TCPCheck{"localhost", port.number()}, mk::TimeoutBudget{.start = 20s}};
  CHECK_NOTHROW(server.start());
  CHECK(server.running());
  server.stop();
  CHECK(test::processes_matching(tag) == 0);
}

TEST_CASE("TCPCheck: a wrong port or host is refused at once") {
  const auto made = [](const std::string& host, long long port) {
    return mk::TCPCheck{host, port};
  };
  for (const long long number : {-1LL, 65536LL, 70000LL, 4294967376LL}) {
    CAPTURE(number);
    CHECK_THROWS_AS(made("127.0.0.1", number), std::invalid_argument);
  }
  CHECK(mk::TCPCheck{"127.0.0.1", 0}.port == 0);
  CHECK(mk::TCPCheck{"127.0.0.1", 1}.port == 1);
  CHECK(mk::TCPCheck{"127.0.0.1", 65535}.port == 65535);
  CHECK_THROWS_WITH_AS(made("127.0.0.1", 70000), "a port is 0 to 65535, not 70000",
                       std::invalid_argument);
  for (const std::string host : {"", "[]", "[127.0.0.1]", "a b", "http://localhost", "localhost:80",
                                 "user@localhost", "::1]", "[::1", "1:2", "localhost\n"}) {
    CAPTURE(host);
    CHECK_THROWS_AS(made(host, 80), std::invalid_argument);
  }
}

TEST_CASE("TCPCheck: a busy UDP port does not matter") {
  const test::Port port;
  const int udp = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address{.sin_family = AF_INET,
                            .sin_port = htons(static_cast<std::uint16_t>(port.number())),
                            .sin_addr = {htonl(INADDR_LOOPBACK)},
                            .sin_zero = {}};
  REQUIRE(::bind(udp, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  mk::TCPExecutor server{listener("127.0.0.1", port, "delay=50"),
                         mk::TCPCheck{"127.0.0.1", port.number()}};
  CHECK_NOTHROW(server.start());
  CHECK(server.running());
  server.stop();
  ::close(udp);
}

TEST_CASE("TCPCheck: Redis starts, stops and starts again") {
  const test::Port port;
  const test::TempDir dir;
  mk::TCPExecutor redis{test::redis_server(port.str(), dir.path()),
                        mk::TCPCheck{"127.0.0.1", port.number()}, mk::TimeoutBudget{.start = 20s}};
  if (!test::starts_if_installed(redis)) return;
  const auto pid = redis.pid();
  const mk::TCPExecutor* self = &redis.stopped([&] {
    CHECK_FALSE(test::alive(pid));
    CHECK_FALSE(test::connects("127.0.0.1", port.number()));
  });
  CHECK(self == &redis);
  CHECK(redis.running());
  CHECK(redis.pid() != pid);
  CHECK(test::connects("127.0.0.1", port.number()));
  const auto second = redis.pid();
  redis.stop();
  CHECK(redis.exit_code() == 0);
  CHECK(contains(redis.output(), "port=" + port.str()));
  CHECK_FALSE(test::alive(second));
  CHECK_FALSE(test::connects("127.0.0.1", port.number()));
}

TEST_CASE("TCPCheck: a service may print more than a pipe holds before it listens [defect 5]") {
  const test::Port port;
  mk::TCPExecutor server{mk::Shell{test::helper() + " flood 300000 exit=0; exec " + test::helper() +
                                   " listen 127.0.0.1 " + port.str()},
                         mk::TCPCheck{"127.0.0.1", port.number()}, mk::TimeoutBudget{.start = 20s}};
  server.start();
  CHECK(server.running());
  CHECK(server.output().size() == 300'000);
}

TEST_CASE("TCPCheck: two ports of one service") {
  const test::Port first, second;
  const auto tag = mark();
  const auto both = [&](const char* delay) {
    return mk::Shell{line(listener("127.0.0.1", first, tag)) + " & exec " +
                     line(listener("127.0.0.1", second, delay, tag))};
  };
  const mk::TCPCheck checks[] = {{"127.0.0.1", first.number()}, {"127.0.0.1", second.number()}};

  SUBCASE("both answer: it is ready") {
    mk::Executor server{both("delay=300"), checks[0], checks[1], mk::TimeoutBudget{.start = 20s}};
    server.start();
    CHECK(test::connects("127.0.0.1", first.number()));
    CHECK(test::connects("127.0.0.1", second.number()));
    server.stop();
  }
  SUBCASE("one does not answer: the message names it") {
    mk::Executor server{both("delay=20000"), checks[0], checks[1],
                        mk::TimeoutBudget{.start = 500ms}};
    check_timeout(
        500ms, [&] { server.start(); },
        [&](const std::string& message) {
          return contains(message,
                          "waited for: a connection to 127.0.0.1:" + second.str() + ", for ") &&
                 contains(message, "last answer: connection refused");
        });
  }
  SUBCASE("one is taken: the start is refused") {
    const OwnListener own{"127.0.0.1", second};
    mk::Executor server{both("delay=0"), checks[0], checks[1]};
    const auto message = message_of<mk::AlreadyRunning>([&] { server.start(); });
    CHECK(contains(message, "127.0.0.1:" + second.str() + " answers, held by "));
  }
  CHECK(test::processes_matching(tag) == 0);
}

TEST_CASE("TCPCheck: a foreign listener does not count after the end of the command [defect 6]") {
  const test::Port port;
  std::optional<OwnListener> stranger;
  // It appears after the check before the start, when the command has ended.
  const auto appears = [&](const mk::Process& process) {
    CHECK(test::eventually([&] { return !test::alive(process.pid()); }));
    stranger.emplace("127.0.0.1", port);
    return true;
  };
  mk::Executor server{helper("exit", "0", "after=20"), appears,
                      mk::TCPCheck{"127.0.0.1", port.number()}, mk::TimeoutBudget{.start = 20s}};
  const test::Elapsed elapsed;
  test::check_ends_before_ready(server);
  CHECK(elapsed < 5s);
  CHECK_FALSE(server.running());
}

TEST_CASE("TCPCheck: a server left by a leader that ended with 0 is waited for") {
  const test::Port port;
  const auto tag = mark();
  mk::TCPExecutor server{mk::Shell{line(listener("127.0.0.1", port, "delay=300", tag)) + " &"},
                         mk::TCPCheck{"127.0.0.1", port.number()}, mk::TimeoutBudget{.start = 20s}};
  server.start();
  CHECK(server.running());
  CHECK(server.exit_code() == 0);
  CHECK(test::connects("127.0.0.1", port.number()));
  server.stop();
  CHECK(test::processes_matching(tag) == 0);
  CHECK_FALSE(test::connects("127.0.0.1", port.number()));
}

TEST_CASE("TCPCheck: many starts on the same port keep no descriptor") {
  const test::Port port;
  mk::TCPExecutor server{listener("127.0.0.1", port), mk::TCPCheck{"127.0.0.1", port.number()},
                         mk::TimeoutBudget{.start = 20s}};
  server.start().stop();
  const auto before = test::open_fds().size();
  for (int i = 0; i < 5; ++i) {
    server.start();
    CHECK(server.running());
    server.stop();
  }
  CHECK(test::open_fds().size() == before);
}

TEST_CASE("TCPCheck: the whole message of an exit with 3") {
  const test::Port port;
  const auto words = helper("exit", "3", "out=reading the settings",
                            "err=server: cannot bind to 1025\\nserver: I give up\\n", "after=300");
  mk::TCPExecutor server{words, mk::TCPCheck{"127.0.0.1", port.number()},
                         mk::TimeoutBudget{.start = 20s}};
  const auto message = message_of<mk::ProcessExitedWithError>([&] { server.start(); });
  CHECK(timeless(message) ==
        text_of({"exited with a non-zero code: 3 before it was ready", "  command: " + line(words),
                 "  started at: L",
                 "  waited for: a connection to 127.0.0.1:" + port.str() + ", for T",
                 "  last answer: connection refused", "  the end of standard error:",
                 "    server: cannot bind to 1025", "    server: I give up",
                 "  the end of standard output:", "    reading the settings"}));
  CHECK(server.exit_code() == 3);
}

TEST_CASE("TCPCheck: the whole message of a timeout") {
  const test::Port port;
  mk::TCPExecutor server{helper("sleep", "20000"), mk::TCPCheck{"::1", port.number()},
                         mk::TimeoutBudget{.start = 300ms}};
  if (!has_ipv6()) return;
  check_timeout(
      300ms, [&] { server.start(); },
      [&](const std::string& message) {
        return timeless(message) ==
               text_of({"timed out after 300 ms", "  command: " + test::helper() + " sleep 20000",
                        "  started at: L",
                        "  waited for: a connection to [::1]:" + port.str() + ", for T",
                        "  last answer: connection refused", "  note: it has printed nothing",
                        "  note: it listens on no TCP port"});
      });
}

TEST_CASE("TCPCheck: the whole message of a taken port") {
  const test::Port port;
  auto other =
      mk::TCPExecutor{listener("127.0.0.1", port), mk::TCPCheck{"127.0.0.1", port.number()}}
          .start();
  mk::TCPExecutor server{"smtpd -n 'a b'", mk::TCPCheck{"127.0.0.1", port.number()}};
  const auto message = message_of<mk::AlreadyRunning>([&] { server.start(); });
  CHECK(test::placeless(message) ==
        text_of({"127.0.0.1:" + port.str() + " answers, held by pid " +
                     std::to_string(other.pid()) + " (" + test::helper() + " listen 127.0.0.1 " +
                     port.str() + "): it seems to be already running",
                 "  command: smtpd -n 'a b'", "  started at: L"}));
}

TEST_CASE("TCPCheck: the whole message of a missing program") {
  const test::Port port;
  const auto missing = [&](mk::Command command) {
    mk::TCPExecutor server{command, mk::TCPCheck{"127.0.0.1", port.number()}};
    return test::placeless(message_of<mk::SpawnError>([&] {
      try {
        server.start();
      } catch (const mk::SpawnError& error) {
        CHECK(error.code() == std::errc::no_such_file_or_directory);
        throw;
      }
    }));
  };
  CHECK(missing({.argv = "smtpd -n", .env = {{"PATH", "/no/bin:/no/sbin"}}}) ==
        "cannot run smtpd: no such file or directory\n"
        "    looked up in PATH=/no/bin:/no/sbin\n"
        "  command: smtpd -n\n  started at: L");
  CHECK(missing({.argv = "/no/bin/smtpd -n"}) ==
        "cannot run /no/bin/smtpd: no such file or directory\n"
        "  command: /no/bin/smtpd -n\n  started at: L");
}
