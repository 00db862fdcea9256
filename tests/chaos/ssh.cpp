// SPDX-License-Identifier: BSL-1.0
// Kills the owner of a command through ssh, at random moments: ssh_chaos ROUNDS. Nothing may be
// left on the far side, neither processes nor files.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <random>

#include <mirakuru.hpp>

#include "mark.hpp"
#include "sshd.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

namespace {

constexpr auto stop_budget = 1s;

/// Starts and stops until it is killed. One command in two resists the signals.
[[noreturn]] void own(const mk::Ssh& ssh, const test::Mark& mark, bool resists) {
  try {
    mk::Executor executor{mark.line(std::string{resists ? "trap '' TERM\n" : ""} +
                                    "setsid sleep 300 & sleep 300 & echo ready; sleep 300"),
                          ssh, mk::BannerCheck{"ready"}, mk::Silent{},
                          mk::TimeoutBudget{.start = 30s, .stop = stop_budget}};
    for (int i = 0; i < 100; ++i) {
      executor.start();
      executor.kill();
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "the owner: %s\n", error.what());
  }
  ::_exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 10;
  if (const auto reason = test::Sshd::why_not(); !reason.empty()) {
    std::printf("skipped: %s\n", reason.c_str());
    return 77;
  }
  test::Sshd sshd;
  std::mt19937 random{std::random_device{}()};
  int failed = 0;
  double longest = 0;
  for (int round = 0; round < rounds; ++round) {
    const test::Mark mark;
    const pid_t owner = ::fork();
    if (owner == 0) own(sshd.ssh(), mark, round % 2 == 1);
    const timespec pause{0, static_cast<long>(random() % 1'000'000) * 999};
    ::nanosleep(&pause, nullptr);
    ::kill(owner, SIGKILL);
    int status = 0;
    ::waitpid(owner, &status, 0);
    const test::Elapsed elapsed;
    const bool gone = test::eventually(
        [&] {
          return mark.count_processes() == 0 && test::children_of(sshd.pid()).empty() &&
                 std::filesystem::is_empty(sshd.temporary());
        },
        stop_budget + 3s);
    longest = std::max(longest, elapsed.seconds());
    if (gone && WIFSIGNALED(status)) continue;
    std::printf("round %d: %d processes, %zu sessions are left after %.1f s\n", round,
                mark.count_processes(), test::children_of(sshd.pid()).size(), elapsed.seconds());
    ++failed;
  }
  std::printf("%d rounds, %d failed; gone after %.2f s at most\n", rounds, failed, longest);
  return failed == 0 ? 0 : 1;
}
