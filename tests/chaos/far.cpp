// SPDX-License-Identifier: BSL-1.0
// Kills the owner of a command elsewhere, at random moments: far_chaos PLACE ROUNDS SECONDS. Within
// the seconds nothing may be left there, neither processes nor files, jobs and containers.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <random>
#include <string>

#include <mirakuru.hpp>

#include "mark.hpp"
#include "podman.hpp"
#include "slurm.hpp"
#include "sshd.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

namespace {

/// A mark by which this machine finds the processes of a round.
struct Round {
  test::Mark mark = {};
  [[nodiscard]] std::string text() const { return "far-chaos-" + mark.text(); }
  /// A line of the shell with the mark in its environment and among its words.
  [[nodiscard]] mk::Command command(const std::string& line) const {
    return {.argv = {"sh", "-c", line + "\nexit", text()}, .env = mark.line("").env};
  }
};

struct Ssh {
  static std::string why_not() { return test::Sshd::why_not(); }
  static constexpr auto leaves = "setsid sleep 300 & sleep 300 & echo ready; sleep 300";
  test::Sshd sshd;

  [[nodiscard]] mk::Ssh launcher() const { return sshd.ssh(); }
  [[nodiscard]] mk::Environment env() const { return {}; }
  [[nodiscard]] std::string left() const {
    const auto sessions = test::children_of(sshd.pid()).size();
    return sessions > 0                                  ? std::to_string(sessions) + " sessions"
           : std::filesystem::is_empty(sshd.temporary()) ? ""
                                                         : "files";
  }
};

struct Slurm {
  static std::string why_not() { return test::SlurmCluster::why_not(); }
  static constexpr auto leaves = Ssh::leaves;
  test::SlurmCluster cluster{{.nodes = 1, .cpus = 2}};

  [[nodiscard]] static mk::Slurm launcher() { return {}; }
  [[nodiscard]] const mk::Environment& env() const { return cluster.env(); }
  [[nodiscard]] std::string left() const { return cluster.run({"squeue", "-h"}); }
};

struct Podman {
  static std::string why_not() { return test::Podman::why_not(); }
  static constexpr auto leaves = "sleep 300 & echo ready; while :; do sleep 1; done";
  test::Podman& engine = *test::Podman::get();

  [[nodiscard]] mk::Podman launcher() const { return engine.podman(); }
  [[nodiscard]] mk::Environment env() const { return {}; }
  [[nodiscard]] std::string left() const { return engine.containers() + engine.leftovers(); }
};

/// Starts and stops until it is killed. One command in two resists the signals.
template <class Place>
[[noreturn]] void own(const Place& place, const Round& round, bool resists) {
  std::mt19937 random{std::random_device{}()};
  try {
    auto command = round.command((resists ? "trap '' TERM\n" : "") + std::string{Place::leaves});
    for (const auto& [name, value] : place.env()) command.env[name] = value;
    mk::Executor executor{command, place.launcher(), mk::BannerCheck{"ready"}, mk::Silent{},
                          mk::TimeoutBudget{.start = 30s, .stop = 1s}};
    for (int i = 0; i < 100; ++i) {
      executor.start();
      test::eventually([] { return false; }, std::chrono::milliseconds{random() % 500});
      executor.kill();
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "the owner: %s\n", error.what());
  }
  ::_exit(1);
}

template <class Place>
int play(int rounds, double limit) {
  if (const auto reason = Place::why_not(); !reason.empty()) {
    std::printf("skipped: %s\n", reason.c_str());
    return 77;
  }
  const Place place;
  std::mt19937 random{std::random_device{}()};
  int failed = 0;
  double longest = 0;
  for (int i = 0; i < rounds; ++i) {
    const Round round;
    const pid_t owner = ::fork();
    if (owner == 0) own(place, round, i % 2 == 1);
    const timespec pause{0, static_cast<long>(random() % 1'000'000) * 999};
    ::nanosleep(&pause, nullptr);
    ::kill(owner, SIGKILL);
    int status = 0;
    ::waitpid(owner, &status, 0);
    const test::Elapsed elapsed;
    const auto processes = [&] {
      return round.mark.count_processes() + test::processes_matching(round.text());
    };
    // Ten seconds are the silence after which a far guardian would end it anyway.
    const bool gone =
        test::eventually([&] { return processes() == 0 && place.left().empty(); }, 40s);
    longest = std::max(longest, elapsed.seconds());
    if (gone && elapsed.seconds() < limit && WIFSIGNALED(status)) continue;
    std::printf("round %d: after %.1f s there are %d processes; %s\n", i, elapsed.seconds(),
                processes(), place.left().c_str());
    ++failed;
  }
  std::printf("%d rounds, %d failed; gone after %.2f s at most\n", rounds, failed, longest);
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string place = argc > 3 ? argv[1] : "";
  const int rounds = argc > 3 ? std::atoi(argv[2]) : 0;
  const double limit = argc > 3 ? std::atof(argv[3]) : 0;
  if (place == "ssh") return play<Ssh>(rounds, limit);
  if (place == "slurm") return play<Slurm>(rounds, limit);
  if (place == "podman") return play<Podman>(rounds, limit);
  std::puts("far_chaos ssh|slurm|podman ROUNDS SECONDS");
  return 2;
}
