// SPDX-License-Identifier: BSL-1.0
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;

namespace {

/// A socket of the test process.
class Socket {
 public:
  explicit Socket(const std::string& path) {
    path.copy(address_.sun_path, sizeof address_.sun_path - 1);
  }
  Socket(const Socket&) = delete;
  ~Socket() { ::close(fd_); }

  void bind() { REQUIRE(::bind(fd_, address(), sizeof address_) == 0); }
  void listen(int queue) { CHECK(::listen(fd_, queue) == 0); }
  [[nodiscard]] bool connects() { return ::connect(fd_, address(), sizeof address_) == 0; }

 private:
  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&address_); }

  int fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_un address_{.sun_family = AF_UNIX, .sun_path = {}};
};

/// Passes time as a slow service does; the test measures the delay after it.
void take(std::chrono::milliseconds time) {
  const timespec limit{.tv_sec = 0, .tv_nsec = time / 1ns};
  ::ppoll(nullptr, 0, &limit, nullptr);
}

}  // namespace

TEST_CASE("UnixSocketCheck: a socket that listens after a while [scenario 48]") {
  const test::TempDir directory;
  const auto path = directory / "socket";
  mk::UnixSocketExecutor executor{
      {test::helper(), "unix", path, "delay=200"}, mk::UnixSocketCheck{path}, in_time};
  const test::Elapsed elapsed;
  executor.start();
  CHECK(elapsed >= 200ms);
  CHECK(executor.running());
  CHECK(mk::UnixSocketCheck{path}.already_true());
}

TEST_CASE("UnixSocketCheck: a bound socket that does not listen is not ready [scenario 49]") {
  const test::TempDir directory;
  const auto path = directory / "socket";
  const auto start = [&](std::chrono::milliseconds budget) {
    ::unlink(path.c_str());
    mk::UnixSocketExecutor{{test::helper(), "unix", path, "nolisten"},
                           mk::UnixSocketCheck{path},
                           mk::TimeoutBudget{.start = budget}}
        .start();
  };
  const auto message = test::message_of_timeout(100ms, start, "last answer: connection refused");
  CHECK(message.find("waited for: a connection to " + path) != std::string::npos);
  CHECK(test::exists(path));
}

TEST_CASE("UnixSocketCheck: an abstract socket is ready") {
  const auto name = "@mirakuru-test-" + std::to_string(::getpid());
  mk::UnixSocketExecutor executor{
      {test::helper(), "unix", name, "delay=50"}, mk::UnixSocketCheck{name}, in_time};
  CHECK(executor.start().running());
}

TEST_CASE("UnixSocketCheck: a socket in a directory that is made later") {
  const test::TempDir directory;
  const auto path = directory / "a/b/socket";
  mk::UnixSocketExecutor executor{mk::Shell{"sleep 0.1; mkdir -p " + (directory / "a/b") +
                                            "; exec " + test::helper() + " unix " + path},
                                  mk::UnixSocketCheck{path}, mk::TimeoutBudget{.start = 10s}};
  CHECK(executor.start().running());
}

TEST_CASE("UnixSocketCheck: a stale socket file does not prevent the start") {
  const test::TempDir directory;
  const auto path = directory / "socket";
  mk::UnixSocketExecutor first{{test::helper(), "unix", path}, mk::UnixSocketCheck{path}, in_time};
  first.start().kill();
  REQUIRE(test::exists(path));
  mk::UnixSocketExecutor second{{test::helper(), "unix", path}, mk::UnixSocketCheck{path}, in_time};
  CHECK(second.start().running());
}

TEST_CASE("UnixSocketCheck: a socket that answers prevents the start, and its holder is named") {
  const test::TempDir directory;
  const auto path = directory / "socket";
  mk::UnixSocketExecutor first{{test::helper(), "unix", path}, mk::UnixSocketCheck{path}, in_time};
  first.start();
  mk::UnixSocketExecutor second{"sleep 300", mk::UnixSocketCheck{path}, in_time};
  try {
    second.start();
    FAIL("start() returned");
  } catch (const mk::AlreadyRunning& error) {
    CHECK(test::placeless(error.what()) == path + " answers, held by pid " +
                                               std::to_string(first.pid()) + " (" + test::helper() +
                                               " unix " + path +
                                               "): it seems to be already running\n"
                                               "  command: sleep 300\n  started at: L");
  }
}

TEST_CASE("UnixSocketCheck: a listener with a full queue prevents the start") {
  const test::TempDir directory;
  const auto path = directory / "socket";
  Socket listener{path};
  listener.bind();
  listener.listen(0);
  std::vector<std::unique_ptr<Socket>> queue;
  do {
    REQUIRE(queue.size() < 100);
    queue.push_back(std::make_unique<Socket>(path));
  } while (queue.back()->connects());
  mk::UnixSocketExecutor executor{"sleep 300", mk::UnixSocketCheck{path}, in_time};
  CHECK_THROWS_AS(executor.start(), mk::AlreadyRunning);
}

TEST_CASE("UnixSocketCheck: a bound socket is tried often until it listens") {
  auto late = std::chrono::nanoseconds::max();
  for (int i = 0; i < 10 && late > 40ms; ++i) {
    const test::TempDir directory;
    Socket listener{directory / "socket"};
    std::chrono::steady_clock::time_point listening;
    std::thread service{[&] {
      take(50ms);
      listener.bind();
      take(450ms);
      listening = std::chrono::steady_clock::now();
      listener.listen(1);
    }};
    mk::UnixSocketExecutor executor{"sleep 300", mk::UnixSocketCheck{directory / "socket"},
                                    in_time};
    executor.start();
    service.join();
    late = std::min<std::chrono::nanoseconds>(late, executor.timeline().ready - listening);
  }
  CHECK(late < 40ms);
}

TEST_CASE("UnixSocketCheck: a socket is seen when it is bound, behind a symbolic link too") {
  for (const std::string link : {"socket", "a/b/socket"}) {
    auto late = std::chrono::nanoseconds::max();
    auto looks = std::numeric_limits<std::size_t>::max();
    for (int i = 0; i < 10 && (late > 60ms || looks > 120); ++i) {
      const test::TempDir directory;
      if (link != "socket") REQUIRE(::symlink(link.c_str(), (directory / "socket").c_str()) == 0);
      Socket listener{directory / link};
      std::chrono::steady_clock::time_point bound;
      std::thread service{[&] {
        take(250ms);
        ::mkdir((directory / "a").c_str(), 0700);
        ::mkdir((directory / "a/b").c_str(), 0700);
        take(250ms);
        bound = std::chrono::steady_clock::now();
        listener.bind();
        listener.listen(1);
      }};
      mk::UnixSocketExecutor executor{"sleep 300", mk::UnixSocketCheck{directory / "socket"},
                                      in_time};
      executor.start();
      service.join();
      late = std::min<std::chrono::nanoseconds>(late, executor.timeline().ready - bound);
      looks = std::min(looks, executor.timeline().checks[0].attempts);
    }
    CHECK(late < 60ms);
    CHECK(looks <= 120);
  }
}

TEST_CASE("UnixSocketCheck: sockets of the other types, a datagram socket when it is bound") {
  const test::TempDir directory;
  for (const std::string type : {"dgram", "seqpacket"})
    for (const auto& path : {directory / type, "@mirakuru-" + type + std::to_string(::getpid())}) {
      CAPTURE(path);
      mk::UnixSocketExecutor executor{{test::helper(), "unix", path, "delay=50", "type=" + type},
                                      mk::UnixSocketCheck{path},
                                      in_time};
      CHECK_FALSE(mk::UnixSocketCheck{path}.already_true());
      CHECK(executor.start().running());
      mk::UnixSocketExecutor second{"sleep 300", mk::UnixSocketCheck{path}, in_time};
      CHECK(test::message_of<mk::AlreadyRunning>([&] { second.start(); })
                .starts_with(path + (type == "dgram" ? " is bound" : " answers") +
                             ", held by pid " + std::to_string(executor.pid()) + " ("));
      executor.kill();
      CHECK_FALSE(mk::UnixSocketCheck{path}.already_true());  // the file is stale now
      CHECK(executor.start().running());
    }
}

TEST_CASE("UnixSocketCheck: a seqpacket socket that does not listen is not ready") {
  const test::TempDir directory;
  const auto path = directory / "socket";
  const auto start = [&](std::chrono::milliseconds budget) {
    ::unlink(path.c_str());
    mk::UnixSocketExecutor{{test::helper(), "unix", path, "nolisten", "type=seqpacket"},
                           mk::UnixSocketCheck{path},
                           mk::TimeoutBudget{.start = budget}}
        .start();
  };
  test::message_of_timeout(100ms, start, "last answer: connection refused");
}
