// SPDX-License-Identifier: BSL-1.0
// Ports that services choose, and ports that others have taken.
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <doctest/doctest.h>
#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include <mirakuru.hpp>
#include <mirakuru/async.hpp>

#include "child.hpp"
#include "errors.hpp"
#include "files.hpp"
#include "net.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::helper;
using test::in_time;
using test::message_of;

namespace {

/// A server of another executor, on a port that was free.
class Thief {
 public:
  explicit Thief(const test::Port& port, const std::string& host = "127.0.0.1")
      : server_{helper("listen", host, port.str()), mk::TCPCheck{host, port.number()}, in_time} {
    server_.start();
  }
  pid_t pid() const { return server_.pid(); }

 private:
  mk::TCPExecutor server_;
};

/// A check that passes when a thief has taken the port, after the spawn.
auto steals(const test::Port& port, std::optional<Thief>& thief,
            const std::string& host = "127.0.0.1") {
  return [&port, &thief, host](const mk::Process&) {
    if (!thief) thief.emplace(port, host);
    return true;
  };
}

/// A socket of this process that listens on 127.0.0.1.
mk::detail::UniqueFd listening(bool shared = false, std::uint16_t port = 0) {
  mk::detail::UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const int yes = shared;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(fd.get(), 8) == 0);
  return fd;
}
int port_of(const mk::detail::UniqueFd& fd) {
  sockaddr_in own{};
  socklen_t size = sizeof own;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &size);
  return ntohs(own.sin_port);
}

bool is_installed(const std::string& program) {
  if (std::system(("command -v " + program + " >/dev/null").c_str()) == 0) return true;
  MESSAGE("skipped: not installed: " << program);
  return false;
}

}  // namespace

TEST_CASE("Port 0: Python's HTTP server, and the executor tells the port") {
  const test::TempDir directory;
  mk::Executor server{test::python_server("0", directory.path()), mk::TCPCheck{"127.0.0.1", 0},
                      in_time};
  server.start();
  const auto port = server.port();
  CHECK(test::http_get(port, "/") == 200);
  const auto ports = server.ports();
  REQUIRE(ports.size() == 1);
  CHECK(ports[0].pid == server.pid());
  CHECK(ports[0].address == "127.0.0.1:" + std::to_string(port));
  CHECK(ports[0].port == port);
  server.stop();
  server.start();  // another port, as it seems
  CHECK(test::http_get(server.port(), "/") == 200);
}

TEST_CASE("Port 0: of several ports the one that answers over HTTP") {
  const test::TempDir directory;
  // The other one is mute: it costs one attempt.
  mk::Executor server{mk::Shell{helper() + " listen 127.0.0.1 0 & exec " +
                                test::line(test::python_server("0", directory.path()))},
                      mk::HTTPCheck{"http://127.0.0.1:0/"}, in_time};
  server.start();
  CHECK(server.ports().size() == 2);
  CHECK(test::http_get(server.port(), "/") == 200);
}

TEST_CASE("Port 0: Node") {
  if (!is_installed("node")) return;
  mk::Executor server{
      {"node", "-e", "require('http').createServer((q, a) => a.end('hello')).listen(0)"},
      mk::TCPCheck{"localhost", 0},
      in_time};
  CHECK(test::http_get(server.start().port(), "/") == 200);
}

TEST_CASE("Port 0: the checks of one executor find the same port") {
  mk::Executor server{helper("listen", "0.0.0.0", "0"), mk::ListenCheck{},
                      mk::TCPCheck{"127.0.0.1", 0}, mk::TCPCheck{"localhost", 0}, in_time};
  server.start();
  CHECK(server.ports().size() == 1);
  CHECK(server.port() == server.ports()[0].port);
  CHECK_NOTHROW(server.wait_for(mk::TCPCheck{"127.0.0.1", 0}, 5s));
}

TEST_CASE("Port 0: another server before the start is no AlreadyRunning") {
  const test::Port port;
  const Thief thief{port};
  mk::Executor server{helper("listen", "127.0.0.1", "0", "delay=50"), mk::TCPCheck{"127.0.0.1", 0},
                      in_time};
  CHECK(server.start().port() != port.number());
}

TEST_CASE("Port 0: without a guardian, too") {
  mk::Executor server{helper("listen", "127.0.0.1", "0"), mk::TCPCheck{"127.0.0.1", 0},
                      mk::DirectSpawner{}, in_time};
  CHECK(test::connects("127.0.0.1", server.start().port()));
  CHECK(server.ports().size() == 1);
}

TEST_CASE("Port 0: a daemon that leaves the session of its leader") {
  mk::Executor server{mk::Shell{"setsid " + helper() + " listen 127.0.0.1 0 delay=50 & exit 0"},
                      mk::TCPCheck{"127.0.0.1", 0}, in_time};
  server.start();
  CHECK(test::connects("127.0.0.1", server.port()));
  CHECK(server.ports().at(0).pid != server.pid());
}

TEST_CASE("Port 0: nothing listens until the deadline") {
  mk::Executor server{helper("sleep", "60000"), mk::TCPCheck{"127.0.0.1", 0},
                      mk::TimeoutBudget{.start = 200ms}};
  const auto message = message_of<mk::TimeoutExpired>([&] { server.start(); });
  CHECK(message.find("waited for: a connection to 127.0.0.1, on a port that it chooses, for ") !=
        std::string::npos);
  CHECK(message.find("last answer: it listens on no TCP port of 127.0.0.1") != std::string::npos);
}

TEST_CASE("Port 0: a listener on another address is in the message") {
  const auto start = [](std::chrono::milliseconds budget) {
    mk::Executor{helper("listen", "127.0.0.2", "0"), mk::TCPCheck{"127.0.0.1", 0},
                 mk::TimeoutBudget{.start = budget}}
        .start();
  };
  test::message_of_timeout(100ms, start, "note: it listens on 127.0.0.2:");
}

TEST_CASE("Port 0: it composes") {
  const auto words = helper("listen", "127.0.0.1", "0", "delay=20");
  mk::Executor any{words, mk::AnyOf{mk::BannerCheck{"never"}, mk::TCPCheck{"127.0.0.1", 0}},
                   in_time};
  CHECK(test::connects("127.0.0.1", any.start().port()));
  mk::Executor all{words, mk::AllOf{mk::ListenCheck{}, mk::TCPCheck{"127.0.0.1", 0}}, in_time};
  CHECK(test::connects("127.0.0.1", all.start().port()));
  mk::Executor stable{words, mk::StableFor{50ms, mk::TCPCheck{"127.0.0.1", 0}}, in_time};
  CHECK(test::connects("127.0.0.1", stable.start().port()));
  mk::Executor within{words, mk::Within{20s, mk::TCPCheck{"127.0.0.1", 0}}, in_time};
  CHECK(test::connects("127.0.0.1", within.start().port()));
  mk::Executor late{helper("sleep", "60000"), mk::Within{50ms, mk::TCPCheck{"127.0.0.1", 0}},
                    in_time};
  CHECK_THROWS_AS(late.start(), mk::TimeoutExpired);
}

TEST_CASE("Port 0: a socket that the command inherits is its own") {
  // As socket activation does it; a stranger's connection would wait for the command, too.
  const auto socket = listening();
  struct Activated {
    int fd;
    void prepare(mk::LaunchRequest& request) const {
      request.descriptors[3] =
          std::make_shared<const mk::detail::UniqueFd>(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    }
    bool operator()(const mk::Process&) const { return true; }
  };
  mk::Executor server{helper("sleep", "60000"), Activated{socket.get()}, mk::ListenCheck{},
                      mk::TCPCheck{"127.0.0.1", 0}, in_time};
  server.start();
  CHECK(server.port() == port_of(socket));
  CHECK(server.ports().at(0).pid == server.pid());
}

TEST_CASE("TCPCheck: a port that a stranger has taken ends the start at once, and it says who") {
  auto fastest = std::chrono::nanoseconds::max();
  for (int tries = 0; tries < 10 && fastest >= 50ms; ++tries) {
    const test::Port port;
    std::optional<Thief> thief;
    std::chrono::steady_clock::time_point listens;
    mk::Executor service{helper("sleep", "60000"), steals(port, thief),
                         [&](const mk::Process&) {
                           listens = std::chrono::steady_clock::now();
                           return true;
                         },
                         mk::TCPCheck{"127.0.0.1", port.number()}, in_time};
    const auto message = message_of<mk::ExecutorError>([&] { service.start(); });
    fastest =
        std::min<std::chrono::nanoseconds>(fastest, std::chrono::steady_clock::now() - listens);
    CHECK(message.starts_with("it cannot become ready: port 127.0.0.1:" + port.str() +
                              " is held by pid " + std::to_string(thief->pid()) + " (" + helper() +
                              " listen 127.0.0.1 " + port.str() +
                              "), which is not of this service\n"));
    CHECK_FALSE(service.running());
    CHECK(test::connects("127.0.0.1", port.number()));  // the thief lives
  }
  MESSAGE("failed after " << fastest / 1us << " us");
  CHECK(fastest < 50ms);
}

TEST_CASE("TCPCheck: a stranger that comes during the wait ends it, too") {
  const test::Port port;
  mk::TCPExecutor thief{helper("listen", "127.0.0.1", port.str(), "delay=300"),
                        mk::TCPCheck{.host = "127.0.0.1", .port = port.number()}, in_time};
  mk::TCPExecutor service{helper("sleep", "60000"), mk::TCPCheck{"127.0.0.1", port.number()},
                          in_time};
  asio::io_context context;
  std::exception_ptr of_thief, of_service;
  service.async_start(asio::bind_executor(context, [&](std::exception_ptr e) { of_service = e; }));
  thief.async_start(asio::bind_executor(context, [&](std::exception_ptr e) { of_thief = e; }));
  context.run();
  CHECK_FALSE(of_thief);
  REQUIRE(of_service);
  const auto message = message_of<mk::ExecutorError>([&] { std::rethrow_exception(of_service); });
  CHECK(message.find("is held by pid " + std::to_string(thief.pid())) != std::string::npos);
}

TEST_CASE("TCPCheck: a stranger may listen if it need not be the service's") {
  for (const bool owned : {true, false}) {
    const test::Port port;
    std::optional<Thief> thief;
    // Like `docker run`: a daemon listens for the command.
    mk::Executor service{helper("sleep", "60000"), steals(port, thief),
                         mk::TCPCheck{.host = "127.0.0.1", .port = port.number(), .owned = owned},
                         in_time};
    if (owned)
      CHECK_THROWS_AS(service.start(), mk::ExecutorError);
    else
      CHECK_NOTHROW(service.start());
  }
}

TEST_CASE("TCPCheck: one that may be there already is asked after the spawn only") {
  const test::Port port;
  const Thief gateway{port};
  mk::Executor strict{helper("sleep", "60000"), mk::TCPCheck{"127.0.0.1", port.number()}, in_time};
  CHECK_THROWS_AS(strict.start(), mk::AlreadyRunning);
  const mk::TCPCheck check{.host = "127.0.0.1", .port = port.number(), .may_be_there = true};
  mk::Executor service{helper("sleep", "60000"), check, in_time};
  CHECK_NOTHROW(service.start());
  CHECK(service.port() == port.number());
  mk::Executor composed{helper("sleep", "60000"), mk::AnyOf{check, mk::BannerCheck{"never"}},
                        in_time};
  CHECK_NOTHROW(composed.start());
}

TEST_CASE("TCPCheck: without a guardian nobody asks whose the listener is") {
  const test::Port port;
  std::optional<Thief> thief;
  mk::Executor service{helper("sleep", "60000"), steals(port, thief),
                       mk::TCPCheck{"127.0.0.1", port.number()}, mk::DirectSpawner{}, in_time};
  CHECK_NOTHROW(service.start());
}

TEST_CASE("TCPCheck: a socket of the test itself is the service's") {
  const test::Port port;
  std::optional<test::Endpoint> mock;
  mk::Executor service{helper("sleep", "60000"),
                       [&](const mk::Process&) {
                         if (mock) return true;
                         mock.emplace("127.0.0.1", port.number());
                         return mock->can_bind() && ::listen(mock->fd(), 8) == 0;
                       },
                       mk::TCPCheck{"127.0.0.1", port.number()}, in_time};
  CHECK_NOTHROW(service.start());
  CHECK(service.timeline().checks[1].note.empty());
}

TEST_CASE("TCPCheck: the service and a stranger share a port") {
  // Each of them has a socket with SO_REUSEPORT, and the kernel deals out the connections.
  auto socket = listening(true);
  const int port = port_of(socket);
  const pid_t stranger = ::fork();
  if (stranger == 0) {
    const auto sibling = listening(true, static_cast<std::uint16_t>(port));
    socket.reset();
    ::pause();
    ::_exit(0);
  }
  struct Given {
    std::shared_ptr<const mk::detail::UniqueFd> fd;
    void prepare(mk::LaunchRequest& request) const { request.descriptors[3] = fd; }
    bool operator()(const mk::Process&) const { return true; }
  };
  const Given given{std::make_shared<const mk::detail::UniqueFd>(std::move(socket))};
  mk::Executor service{helper("sleep", "60000"), given,
                       mk::TCPCheck{.host = "127.0.0.1", .port = 0}, in_time};
  CHECK_NOTHROW(service.start());
  CHECK(service.port() == port);
  ::kill(stranger, SIGKILL);
  ::waitpid(stranger, nullptr, 0);
}

TEST_CASE("TCPCheck: in AnyOf a check whose port is stolen is out") {
  const test::Port stolen, own;
  std::optional<Thief> thief;
  mk::Executor service{helper("listen", "127.0.0.1", own.str(), "delay=300"), steals(stolen, thief),
                       mk::AnyOf{mk::TCPCheck{"127.0.0.1", stolen.number()},
                                 mk::TCPCheck{"127.0.0.1", own.number()}},
                       in_time};
  CHECK_NOTHROW(service.start());
  CHECK(service.timeline().checks[1].arms.at(0).passed == mk::TimePoint{});
  CHECK(service.port() == own.number());
}

TEST_CASE("TCPCheck: in the other composed checks a stolen port ends the start") {
  const auto check = [](auto make) {
    const test::Port port;
    std::optional<Thief> thief;
    mk::Executor service{helper("sleep", "60000"), steals(port, thief),
                         make(mk::TCPCheck{"127.0.0.1", port.number()}), in_time};
    const test::Elapsed elapsed;
    const auto message = message_of<mk::ExecutorError>([&] { service.start(); });
    CHECK(elapsed < 10s);
    CHECK(message.find("is held by pid " + std::to_string(thief->pid())) != std::string::npos);
  };
  check([](auto tcp) { return mk::AllOf{mk::BannerCheck{"never"}, tcp}; });
  check([](auto tcp) { return mk::StableFor{100ms, tcp}; });
  check([](auto tcp) { return mk::Within{20s, tcp}; });
  check([](auto tcp) { return mk::AnyOf{tcp, mk::Within{20s, tcp}}; });
}

TEST_CASE("TCPCheck: a service that drops its user is known by root") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: needs root");
    return;
  }
  const test::Port port;
  // Another user may reach neither the build directory nor root's python3.
  const std::vector<std::string> words{
      "env", "python3", "-c",
      "import socket, time\ns = socket.create_server(('127.0.0.1', " + port.str() +
          "))\ntime.sleep(60)"};
  mk::Executor service{mk::Command{.argv = words, .user = "nobody"},
                       mk::TCPCheck{"127.0.0.1", port.number()}, in_time};
  service.start();
  CHECK(service.timeline().checks[0].note.empty());
  CHECK(service.ports().size() == 1);
}

TEST_CASE("TCPCheck: a plain user gets a note about another user's listener") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: needs root");
    return;
  }
  const test::Port port;
  std::optional<Thief> thief;
  thief.emplace(port);
  CHECK(
      test::in_child([number = port.number()] {
        if (!test::become_nobody()) return false;
        std::string told;
        // The probe alone, as the port is taken before the start.
        struct Late {
          mk::TCPCheck check;
          std::unique_ptr<mk::Probe> probe(const mk::Process& process) const {
            return check.probe(process);
          }
          std::string describe() const { return check.describe(); }
        };
        mk::Executor service{"sleep 60", Late{{"127.0.0.1", number}}, [&](const mk::Event& event) {
                               if (std::holds_alternative<mk::CheckPassed>(event))
                                 told = mk::line_of(event);
                             }};
        service.start();
        const std::string note =
            "its listener may be another's: a process of user root that /proc hides listens there";
        return service.timeline().checks.at(0).note == note && told.ends_with(", but " + note);
      }) == 0);
}

TEST_CASE("ListenCheck: a plain user gets a note where /proc hides the service") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: needs root");
    return;
  }
  const test::Port port;
  CHECK(test::in_child([number = port.number()] {
          if (!test::become_nobody()) return false;
          // 4: PR_SET_DUMPABLE, without which its descriptors are root's.
          mk::Executor service{{"python3", "-c",
                                "import ctypes, socket, time\nctypes.CDLL(None).prctl(4, 0, 0, 0, "
                                "0)\ns = socket.create_server(('127.0.0.1', " +
                                    std::to_string(number) + "))\ntime.sleep(60)"},
                               mk::ListenCheck{.port = number},
                               in_time};
          service.start();
          return service.timeline().checks.at(0).note.starts_with(
                     "its listener may be another's: ") &&
                 service.port() == number;
        }) == 0);
}

TEST_CASE("ports(): none, several, and not running") {
  mk::Executor idle{helper("sleep", "60000")};
  CHECK(
      message_of<mk::ExecutorError>([&] { (void)idle.ports(); }).starts_with("it does not run\n"));
  CHECK(message_of<mk::ExecutorError>([&] { (void)idle.port(); }).starts_with("it does not run\n"));
  idle.start();
  CHECK(idle.ports().empty());
  CHECK(message_of<mk::ExecutorError>([&] {
          (void)idle.port();
        }).starts_with("it listens on no TCP port\n"));

  const test::Port one, other;
  mk::Executor two{mk::Shell{helper() + " listen 127.0.0.1 " + one.str() + " & " + helper() +
                             " listen 127.0.0.1 " + other.str() + " & wait"}};
  two.start();
  REQUIRE(test::eventually([&] { return two.ports().size() == 2; }));
  const auto ports = two.ports();
  CHECK(ports[0].port < ports[1].port);
  const auto message = message_of<mk::ExecutorError>([&] { (void)two.port(); });
  CHECK(message.starts_with("it listens on several TCP ports: " + ports[0].address + " (pid " +
                            std::to_string(ports[0].pid) + "), " + ports[1].address + " (pid " +
                            std::to_string(ports[1].pid) + ")\n"));
  two.stop();
  CHECK_THROWS_AS((void)two.ports(), mk::ExecutorError);
}

TEST_CASE("port(): the port of a check, and of both families together") {
  const test::Port one, other;
  mk::Executor two{mk::Shell{helper() + " listen 127.0.0.1 " + one.str() + " & " + helper() +
                             " listen 127.0.0.1 " + other.str() + " & wait"},
                   mk::TCPCheck{"127.0.0.1", other.number()},
                   mk::TCPCheck{"127.0.0.1", one.number()}, in_time};
  CHECK(two.start().port() == other.number());  // the first
  two.stop();
  CHECK(two.port() == other.number());

  if (!test::has_ipv6()) return;
  mk::Executor both{mk::Shell{helper() + " listen 127.0.0.1 " + one.str() + " & " + helper() +
                              " listen ::1 " + one.str() + " & wait"}};
  both.start();
  CHECK(test::eventually([&] { return both.ports().size() == 2; }));
  CHECK(both.port() == one.number());
}
