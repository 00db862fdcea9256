// SPDX-License-Identifier: BSL-1.0
// How do I stop a service that needs more than one signal?
// A ladder sends one after another. SIGKILL follows when the stop budget has run out.

#include <chrono>
#include <csignal>
#include <iostream>

#include <mirakuru.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;

int main() {
  // Ignores SIGINT, exits with 3 on SIGTERM, and leaves a daemon behind.
  const mk::Shell command{
      "trap '' INT; trap 'exit 3' TERM; setsid sleep 60 & echo ready; while :; do sleep 0.05; "
      "done"};
  mk::SignalLadder ladder{{SIGINT, 100ms}, {SIGTERM, 5s}};
  ladder.accept = {3};  // without this line stop() throws ProcessFinishedWithError
  mk::Executor service{command, mk::BannerCheck{"ready"}, ladder,
                       mk::TimeoutBudget{.start = 10s, .stop = 6s}};

  service.start().stop();
  std::cout << "exit code " << service.exit_code().value_or(-1) << '\n';
  for (const auto& straggler : service.stragglers())
    std::cout << "left behind: " << straggler.pid << ' ' << straggler.command << '\n';

  const bool stopped = service.exit_code() == 3;

  // One call can take another signal, and accept further codes.
  service.start().stop(SIGTERM, {143});
  // kill() sends SIGKILL and accepts each end.
  service.start().kill();
  return stopped && service.exit_code() == -SIGKILL && !service.running() ? 0 : 1;
}
