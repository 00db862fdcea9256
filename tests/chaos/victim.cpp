// SPDX-License-Identifier: BSL-1.0
// The test program that `chaos` kills: it starts and stops executors, whose processes use every way
// of escape.
//
//   victim DIRECTORY HOST PORT MARK alone|group|shared
//
// It writes a byte to DIRECTORY/steps with each step.
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

constexpr mk::TimeoutBudget budget{.start = 30s, .stop = 20ms};

/// The commands of the services, which use every way of escape.
struct Place {
  std::string directory, host, port, mark;

  std::string pid_file() const { return directory + "/service.pid"; }
  Words escape() const {
    return {test::helper(),
            "escape",
            mark,
            "record=" + directory + "/record",
            "session",
            "daemon+clean",
            "daemon+ignore",
            "group+ignore",
            "name",
            "daemon+ignore+name",
            "ignore+stop",
            "stop",
            "forks",
            "daemon+ignore+chain"};
  }
  template <class... More>
  auto tree(const More&... more) const {
    return mk::Executor{escape(), mk::BannerCheck{"ready"}, budget, more...};
  }
  template <class... More>
  auto server(const More&... more) const {
    return mk::Executor{Words{test::helper(), "listen", mark, host, port},
                        mk::TCPCheck{host, std::atoi(port.c_str())}, budget, more...};
  }
  auto service() const {
    return mk::Executor{Words{test::helper(), "pidfile", mark, pid_file()},
                        mk::PidCheck{.path = pid_file(), .alive = true}, budget};
  }
};

/// Each in turn; in the last cycle the destructors stop.
void run_alone(const Place& place) {
  auto tree = place.tree();
  auto server = place.server();
  auto service = place.service();
  for (int cycle = 0; step(place.directory) && cycle < 2; ++cycle) {
    ::unlink(place.pid_file().c_str());
    tree.start();
    step(place.directory);
    server.start();
    step(place.directory);
    service.start();
    step(place.directory);
    pause(5);
    server.stop();
    step(place.directory);
    if (cycle > 0) continue;
    tree.stop();
    step(place.directory);
    service.stop();
    step(place.directory);
    pause(2);
  }
}

void run_group(const Place& place) {
  for (int cycle = 0; step(place.directory) && cycle < 2; ++cycle) {
    ::unlink(place.pid_file().c_str());
    mk::Group group;
    auto& tree = group.add(place.tree());
    group.add(place.server(), mk::needs(tree));
    group.add(place.service());
    group.start();
    step(place.directory);
    pause(5);
    if (cycle == 0) group.stop();
    step(place.directory);
  }
}

/// Two executors share each service, as two programs would.
void run_shared(const Place& place) {
  const auto shared = [&](const char* name) {
    return mk::Shared{.name = place.mark + name, .linger = 10ms};
  };
  for (int cycle = 0; step(place.directory) && cycle < 2; ++cycle) {
    auto tree = place.tree(shared("tree")), other_tree = place.tree(shared("tree"));
    auto server = place.server(shared("server")), other_server = place.server(shared("server"));
    tree.start();
    step(place.directory);
    server.start();
    step(place.directory);
    other_tree.start();
    other_server.start();
    step(place.directory);
    pause(5);
    tree.stop();
    step(place.directory);
    other_tree.stop();
    server.stop();
    step(place.directory);
    if (cycle > 0) pause(20);  // the tree has had its linger time
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 6)
      throw std::invalid_argument{"victim DIRECTORY HOST PORT MARK alone|group|shared"};
    const Place place{argv[1], argv[2], argv[3], argv[4]};
    const std::string way = argv[5];
    (way == "group" ? run_group : way == "shared" ? run_shared : run_alone)(place);
    step(place.directory);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "victim: %s\n", error.what());
    return 1;
  }
}
