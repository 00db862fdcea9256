// SPDX-License-Identifier: BSL-1.0
// A test program that shares a Redis with others; ctest.py starts many of them under CTest.
//
//   member NUMBER DIRECTORY PORT LINGER_MS MOMENT_US
//
// The kernel kills it MOMENT_US after its begin, if that is not 0. DIRECTORY/starts gets a line for
// each Redis that begins, DIRECTORY/second one for each that begins while another one lives, and
// DIRECTORY/starters the number of each program that has started one and is ready.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include <mirakuru.hpp>

#include "process.hpp"

namespace mk = mirakuru;
using std::chrono::milliseconds;

namespace {

/// A timer of the kernel needs nobody, and forks do not inherit it.
void die_after(long microseconds) {
  if (microseconds == 0) return;
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGKILL;
  timer_t timer;
  const itimerspec moment{{}, {microseconds / 1'000'000, microseconds % 1'000'000 * 1000}};
  if (::timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
      ::timer_settime(timer, 0, &moment, nullptr) != 0)
    throw std::system_error{errno, std::generic_category(), "timer"};
}

/// The answer of Redis to one command.
std::string ask(std::uint16_t port, const std::string& command) {
  sockaddr_in server{};
  server.sin_family = AF_INET;
  server.sin_port = htons(port);
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const mk::detail::UniqueFd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const auto line = command + "\r\n";
  char answer[64] = {};
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&server), sizeof server) != 0 ||
      ::send(socket.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0 ||
      ::recv(socket.get(), answer, sizeof answer - 1, 0) <= 0)
    throw std::system_error{errno, std::generic_category(), command};
  return answer;
}

void use(int number, const std::string& directory, std::uint16_t port, milliseconds linger) {
  // Redis keeps the lock open, so the kernel tells whether another one lives.
  const auto script =
      "exec 9>>lock; flock -n 9 || echo $$ >>second; echo $$ >>starts; exec redis-server --port " +
      std::to_string(port) + " --bind 127.0.0.1 --save ''";
  mk::Executor redis{
      mk::Command{.argv = {"sh", "-c", script}, .cwd = directory},
      mk::TalkCheck{.host = "127.0.0.1", .port = port, .send = "PING\r\n", .expect = "\\+PONG"},
      mk::Shared{.name = "redis", .scope = directory, .linger = linger}};
  redis.start();
  if (test::parent_of(test::parent_of(redis.pid())) == ::getpid())
    std::ofstream{directory + "/starters", std::ios::app} << 't' << number << std::endl;
  if (ask(port, "INCR programs")[0] != ':') throw std::runtime_error{"Redis does not count"};
  std::this_thread::sleep_for(milliseconds{number % 20});
  redis.check_alive();
  if (number % 3 == 0) redis.stop();
  if (number % 3 == 1) ::_exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 6) throw std::invalid_argument{"member NUMBER DIRECTORY PORT LINGER_MS MOMENT_US"};
    die_after(std::atol(argv[5]));
    use(std::atoi(argv[1]), argv[2], static_cast<std::uint16_t>(std::atoi(argv[3])),
        milliseconds{std::atoi(argv[4])});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "member: %s\n", error.what());
    return 1;
  }
}
