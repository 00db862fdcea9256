// SPDX-License-Identifier: BSL-1.0
// How do I start a service that needs another one? How do I wait for a Unix socket?
// Declare and start them in order: they stop in reverse order. A Unix socket needs no free port.
#include <iostream>
#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

namespace mk = mirakuru;

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
  const mk::TempDir dir{"in-order"};
  const auto socket = dir / "redis.sock";
  mk::UnixSocketExecutor database{
      {"redis-server", "--port", "0", "--unixsocket", socket, "--dir", dir},
      mk::UnixSocketCheck{socket}};
  database.start();
  mk::PidExecutor worker{mk::Command{.argv = {"python3", "-c", worker_script}, .cwd = dir},
                         mk::PidCheck{.path = dir / "worker.pid", .alive = true}};
  worker.start();

  const auto workers = mk::run({"redis-cli", "-s", socket, "INCR", "workers"}).output;
  std::cout << "with this one: " << workers;
  return workers == "2\n" ? 0 : 1;
}  // the worker stops, then the database
