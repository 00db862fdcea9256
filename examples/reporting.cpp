// SPDX-License-Identifier: BSL-1.0
// Hears of a slow start, of each step and of a crash in a log of its own.
#include <iostream>
#include <mirakuru.hpp>
#include <thread>

namespace mk = mirakuru;
using namespace std::chrono_literals;

int main() {
  std::vector<std::string> log;
  bool crashed = false;
  {
    mk::Executor server{mk::Shell{"echo ready; read line; exit 3"}, mk::BannerCheck{"ready"},
                        [&](const mk::Event& event) {
                          log.push_back(mk::line_of(event));
                          crashed |= std::holds_alternative<mk::EndedBadly>(event);
                        }};
    server.start();
    std::cout << server << '\n';  // the command, "pid 42, running"
    server.check_alive();         // throws if it has crashed
    try {
      server.wait_for(mk::BannerCheck{"reconnected"}, 100ms);
    } catch (const mk::TimeoutExpired& error) {
      std::cout << error.what() << '\n';
    }

    server.start();
    ::kill(server.pid(), SIGSEGV);
    while (server.running()) std::this_thread::yield();  // it crashes; the destructor tells
  }
  for (const auto& line : log) std::cout << line << '\n';
  std::cout << (crashed ? "it has crashed" : "it is well") << '\n';
  return crashed ? 0 : 1;
}
