// SPDX-License-Identifier: BSL-1.0
// Kills the owner of a command elsewhere, or cancels its start and its stop, at random moments:
// far_chaos PLACE killed|cancelled ROUNDS SECONDS. Within the seconds nothing may be left there,
// neither processes nor files, jobs and containers.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <mirakuru.hpp>
#include <mirakuru/async.hpp>

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

/// One command in two resists the signals.
template <class Place>
auto executor_of(const Place& place, const Round& round, bool resists) {
  auto command = round.command((resists ? "trap '' TERM\n" : "") + std::string{Place::leaves});
  for (const auto& [name, value] : place.env()) command.env[name] = value;
  return mk::Executor{command, place.launcher(), mk::BannerCheck{"ready"}, mk::Silent{},
                      mk::TimeoutBudget{.start = 30s, .stop = 1s}};
}

std::chrono::microseconds random_time(std::chrono::microseconds most) {
  static std::mt19937 random{std::random_device{}()};
  return std::chrono::microseconds{random() % static_cast<unsigned long>(most.count())};
}

/// Starts and stops until it is killed.
template <class Place>
[[noreturn]] void own(const Place& place, const Round& round, bool resists) {
  try {
    auto executor = executor_of(place, round, resists);
    for (int i = 0; i < 100; ++i) {
      executor.start();
      std::this_thread::sleep_for(random_time(500ms));
      executor.kill();
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "the owner: %s\n", error.what());
  }
  ::_exit(1);
}

/// The owner is killed. False if it has ended before.
struct Killed {
  template <class Place>
  bool operator()(const Place& place, const Round& round, bool resists) const {
    const auto life = random_time(1s);  // before the fork, which copies the generator
    const pid_t owner = ::fork();
    if (owner == 0) own(place, round, resists);
    std::this_thread::sleep_for(life);
    ::kill(owner, SIGKILL);
    int status = 0;
    ::waitpid(owner, &status, 0);
    return WIFSIGNALED(status);
  }
};

/// The owner cancels the start, or else the stop. False if one of them has failed otherwise, or
/// if the service runs afterwards.
struct Cancelled {
  template <class Place>
  bool operator()(const Place& place, const Round& round, bool resists) const {
    asio::io_context context;
    auto executor = executor_of(place, round, resists);
    bool good = true;
    const auto run = [&](auto begin, std::chrono::microseconds most) {
      asio::cancellation_signal signal;
      asio::steady_timer timer{context, random_time(most)};
      timer.async_wait([&](asio::error_code error) {
        if (!error) signal.emit(asio::cancellation_type::terminal);
      });
      begin(asio::bind_cancellation_slot(
          signal.slot(), asio::bind_executor(context, [&](std::exception_ptr result) {
            timer.cancel();
            try {
              if (result) std::rethrow_exception(result);
            } catch (const asio::system_error& error) {
              good &= error.code() == asio::error::operation_aborted;
            } catch (const std::exception& error) {
              std::fprintf(stderr, "the owner: %s\n", error.what());
              good = false;
            }
          })));
      context.restart();
      context.run();
    };
    run([&](auto token) { executor.async_start(std::move(token)); }, 1500ms);
    if (executor.running()) run([&](auto token) { executor.async_stop(std::move(token)); }, 1200ms);
    return good && !executor.running();
  }
};

template <class Place, class Act>
int play(Act act, int rounds, double limit) {
  if (const auto reason = Place::why_not(); !reason.empty()) {
    std::printf("skipped: %s\n", reason.c_str());
    return 77;
  }
  const Place place;
  int failed = 0;
  double longest = 0;
  for (int i = 0; i < rounds; ++i) {
    const Round round;
    const bool good = act(place, round, i % 2 == 1);
    const test::Elapsed elapsed;
    const auto processes = [&] {
      return round.mark.count_processes() + test::processes_matching(round.text());
    };
    // Ten seconds are the silence after which a far guardian would end it anyway.
    const bool gone =
        test::eventually([&] { return processes() == 0 && place.left().empty(); }, 40s);
    longest = std::max(longest, elapsed.seconds());
    if (good && gone && elapsed.seconds() < limit) continue;
    std::printf("round %d: %s; after %.1f s there are %d processes; %s\n", i,
                good ? "as it should be" : "wrong", elapsed.seconds(), processes(),
                place.left().c_str());
    ++failed;
  }
  std::printf("%d rounds, %d failed; gone after %.2f s at most\n", rounds, failed, longest);
  return failed == 0 ? 0 : 1;
}

template <class Act>
int play_at(const std::string& place, Act act, int rounds, double limit) {
  if (place == "ssh") return play<Ssh>(act, rounds, limit);
  if (place == "slurm") return play<Slurm>(act, rounds, limit);
  if (place == "podman") return play<Podman>(act, rounds, limit);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words{argv, argv + argc};
  int code = 2;
  if (argc == 5) {
    const int rounds = std::atoi(argv[3]);
    const double limit = std::atof(argv[4]);
    if (words[2] == "killed") code = play_at(words[1], Killed{}, rounds, limit);
    if (words[2] == "cancelled") code = play_at(words[1], Cancelled{}, rounds, limit);
  }
  if (code == 2) std::puts("far_chaos ssh|slurm|podman killed|cancelled ROUNDS SECONDS");
  return code;
}
