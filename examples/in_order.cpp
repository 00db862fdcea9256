// SPDX-License-Identifier: BSL-1.0
// How do I start a service that needs another one? How do I wait for a Unix socket?
// Declare and start them in order: they stop in reverse order. A Unix socket needs no free port.

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>

#include <asio/local/stream_protocol.hpp>

#include <mirakuru.hpp>

namespace mk = mirakuru;

/// Sends one command to Redis and returns the answer.
std::string ask(const std::string& socket, const std::string& command) {
  asio::local::stream_protocol::iostream redis{asio::local::stream_protocol::endpoint{socket}};
  redis << command << "\r\n" << std::flush;
  std::string answer;
  std::getline(redis, answer, '\r');
  return answer;
}

/// A worker that needs the database. It writes a pid file when it has connected.
constexpr auto worker_script = R"(
import os, socket, time
redis = socket.socket(socket.AF_UNIX)
redis.connect("redis.sock")
redis.send(b"INCR workers\r\n")
assert redis.recv(64) == b":1\r\n"
open("worker.pid", "w").write(f"{os.getpid()}\n")
time.sleep(60))";

int main() {
  char name[] = "/tmp/mirakuru-in-order-XXXXXX";
  const std::string directory = ::mkdtemp(name);
  bool good = false;
  {
    const std::string socket = directory + "/redis.sock";
    mk::UnixSocketExecutor database{
        {"redis-server", "--port", "0", "--unixsocket", socket, "--dir", directory},
        mk::UnixSocketCheck{socket}};
    database.start();
    mk::PidExecutor worker{mk::Command{.argv = {"python3", "-c", worker_script}, .cwd = directory},
                           mk::PidCheck{.path = directory + "/worker.pid", .alive = true}};
    worker.start();
    good = ask(socket, "INCR workers") == ":2";
    std::cout << "two workers: " << std::boolalpha << good << '\n';
  }  // the worker stops, then the database
  std::filesystem::remove_all(directory);
  return good ? 0 : 1;
}
