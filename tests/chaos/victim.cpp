// SPDX-License-Identifier: BSL-1.0
// The test program that `chaos` kills: it starts and stops three executors, whose processes use
// every way of escape.
//
//   victim DIRECTORY HOST PORT MARK    writes a byte to DIRECTORY/steps with each step
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include <mirakuru.hpp>

#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

namespace {

using Words = std::vector<std::string>;

bool step(const std::string& directory) {
  static const int file =
      ::open((directory + "/steps").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  return ::write(file, ".", 1) == 1;
}

void pause(long ms) {
  const timespec time{0, ms * 1'000'000};
  ::ppoll(nullptr, 0, &time, nullptr);
}

void run(const std::string& directory, const std::string& host, const std::string& port,
         const std::string& mark) {
  const test::Elapsed elapsed;
  const auto pid_file = directory + "/service.pid";
  const mk::TimeoutBudget budget{.start = 5s, .stop = 20ms};
  mk::Executor tree{
      Words{test::helper(), "escape", mark, "record=" + directory + "/record", "session",
            "daemon+clean", "daemon+ignore", "group+ignore", "name", "daemon+ignore+name",
            "ignore+stop", "stop", "forks", "daemon+ignore+chain"},
      mk::BannerCheck{"ready"}, budget};
  mk::Executor server{Words{test::helper(), "listen", mark, host, port},
                      mk::TCPCheck{host, std::atoi(port.c_str())}, budget};
  mk::Executor service{Words{test::helper(), "pidfile", mark, pid_file},
                       mk::PidCheck{.path = pid_file, .alive = true}, budget};

  for (int cycle = 0; step(directory) && cycle < 2 && elapsed < 3s; ++cycle) {
    ::unlink(pid_file.c_str());
    tree.start();
    step(directory);
    server.start();
    step(directory);
    service.start();
    step(directory);
    pause(5);
    server.stop();
    step(directory);
    if (cycle > 0) continue;  // in the last cycle the destructors stop
    tree.stop();
    step(directory);
    service.stop();
    step(directory);
    pause(2);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 5) throw std::invalid_argument{"victim DIRECTORY HOST PORT MARK"};
    run(argv[1], argv[2], argv[3], argv[4]);
    step(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "victim: %s\n", error.what());
    return 1;
  }
}
