// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <string>
#include <thread>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/spawn/far/far_guardian.hpp>

#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

// The far guardian in each shell that is there, without a connection.

namespace {

/// A launcher that runs commands below a far guardian on this machine.
struct Near {
  static constexpr mk::Guarantee guarantee = mk::Guarantee::far_group_ends_with_connection;
  static constexpr bool runs_here = false, executes_later = true;

  std::vector<std::string> shell;

  [[nodiscard]] mk::LaunchRequest launch(mk::LaunchRequest request) const {
    auto words = shell;
    words.insert(words.end(), {"-c", mk::detail::far_shell});
    return mk::detail::below_far_guardian(std::move(request), std::move(words), "this machine");
  }
  [[nodiscard]] mk::GuardedProcess spawn(const mk::LaunchRequest& request) const {
    return mk::GuardedSpawner{}.spawn(launch(request));
  }
};

template <class Shell>
struct In {
  static bool there_is() {
    static const bool found =
        mk::run(mk::Shell{std::string{"command -v "} + Shell::words()[0]}, mk::Accept{1, 127})
            .exit_code == 0;
    if (!found) MESSAGE("not installed: ", Shell::words()[0]);
    return found;
  }
  template <class... Policies>
  static auto make(mk::detail::ResolvedCommand command, Policies... policies) {
    return mk::Executor{std::move(command), Near{Shell::words()}, policies...};
  }
};
struct DashWords {
  static std::vector<std::string> words() { return {"dash"}; }
};
struct BashWords {
  static std::vector<std::string> words() { return {"bash", "--posix"}; }
};
struct BusyboxWords {
  static std::vector<std::string> words() { return {"busybox", "sh"}; }
};
using Dash = In<DashWords>;
using Bash = In<BashWords>;
using Busybox = In<BusyboxWords>;

/// One far guardian that hands on to another one.
struct Twice {
  static bool there_is() { return true; }
  template <class... Policies>
  static auto make(mk::detail::ResolvedCommand command, Policies... policies) {
    return mk::Executor{std::move(command), mk::Over{Near{{"sh"}}, Near{{"sh"}}}, policies...};
  }
};

}  // namespace

#define FAR_TEST(name) TEST_CASE_TEMPLATE("far guardian: " name, Place, Dash, Bash, Busybox, Twice)
#include "far_scenarios.hpp"

TEST_CASE("far guardian: it ends the command when it hears nothing for ten seconds") {
  const test::Mark mark;
  mk::Executor executor{mark.line("setsid sleep 300 & echo ready; sleep 300"), Near{{"sh"}},
                        mk::BannerCheck{"ready"}, mk::Silent{}, budget};
  executor.start();
  // The local guardian sends the heartbeats.
  const auto guardian = test::parent_of(executor.pid());
  ::kill(guardian, SIGSTOP);
  CHECK_FALSE(mark.all_gone(5s));
  CHECK(mark.all_gone(15s));
  ::kill(guardian, SIGCONT);
  CHECK(test::eventually([&] { return !executor.running(); }, 20s));
}

TEST_CASE("far guardian: SIGTERM to its processes ends the command") {
  const test::Mark mark;
  mk::Executor executor{mark.line("setsid sleep 300 & echo ready; sleep 300"), Near{{"sh"}},
                        mk::BannerCheck{"ready"}, mk::Silent{}, budget};
  executor.start();
  // The local command is the main shell; its group has the others, too.
  for (const pid_t pid : test::children_of(executor.pid())) ::kill(pid, SIGTERM);
  ::kill(executor.pid(), SIGTERM);
  CHECK(mark.all_gone(8s));
  CHECK(test::eventually([&] { return !executor.running(); }, 20s));
}

namespace {

/// A far guardian in a shell, with nobody above it.
template <class Words>
struct Alone {
  mk::LaunchRequest launched;
  mk::Executor<mk::DirectSpawner, mk::Silent> shell;

  /// `prefix` are words of a program that executes the shell.
  explicit Alone(mk::LaunchRequest request, std::vector<std::string> prefix = {})
      : launched{[&] {
          auto words = std::move(prefix);
          std::ranges::copy(Words::words(), std::back_inserter(words));
          words.insert(words.end(), {"-c", mk::detail::far_shell});
          return mk::detail::below_far_guardian(std::move(request), std::move(words),
                                                "this machine", "echo here");
        }()},
        shell{launched.words} {
    shell.start().write(launched.far->opening);
  }
};

/// A command that says "bye" at SIGTERM, and has a process in a session of its own.
mk::LaunchRequest says_bye(const test::Mark& mark) {
  return {.words = {"sh", "-c",
                    "trap 'echo bye; exit 0' TERM; setsid sleep 300 & echo up\n"
                    "while :; do sleep 0.05; done"},
          .env = {{"TEST_MARK", mark.text()}},
          .id = mark.text(),
          .steps = {{SIGTERM, 5s}},
          .stop_budget = 5s};
}

}  // namespace

TEST_CASE_TEMPLATE("far guardian: SIGTERM at any moment of its start is not lost", Words, DashWords,
                   BashWords, BusyboxWords) {
  if (!In<Words>::there_is()) return;
  for (auto delay = 0ms; delay < 60ms; delay += 3ms) {
    const test::Mark mark;
    Alone<Words> far{{.words = {"sh", "-c", "sleep 300; exit"},
                      .env = {{"TEST_MARK", mark.text()}},
                      .id = mark.text(),
                      .stop_budget = 1s}};
    std::this_thread::sleep_for(delay);
    ::kill(-far.shell.pid(), SIGTERM);
    CHECK_MESSAGE(test::eventually([&] { return !far.shell.running(); }, 5s), delay.count());
    CHECK_MESSAGE(mark.all_gone(5s), delay.count());  // not by the silence of ten seconds
  }
}

TEST_CASE_TEMPLATE("far guardian: SIGKILL at any moment of its start leaves no file", Words,
                   DashWords, BashWords, BusyboxWords) {
  if (!In<Words>::there_is()) return;
  const mk::TempDir dir{"killed"};
  for (auto delay = 0ms; delay < 30ms; delay += 2ms) {
    const test::Mark mark;
    Alone<Words> far{{.words = {"true"}, .env = {{"TEST_MARK", mark.text()}}},
                     {"env", "TMPDIR=" + dir.path().native()}};
    std::this_thread::sleep_for(delay);
    ::kill(-far.shell.pid(), SIGKILL);
    CHECK_MESSAGE(test::eventually([&] { return !far.shell.running(); }, 5s), delay.count());
    CHECK_MESSAGE(mark.all_gone(5s), delay.count());
    CHECK_MESSAGE(std::filesystem::is_empty(dir.path()), delay.count());
  }
}

TEST_CASE_TEMPLATE("far guardian: a command has its input where /proc is not mounted", Words,
                   DashWords, BashWords, BusyboxWords) {
  if (!In<Words>::there_is()) return;
  const std::vector<std::string> no_proc{"unshare", "-m", "sh", "-c",
                                         R"sh(umount -l /proc && exec "$0" "$@")sh"};
  auto probe = no_proc;
  probe.insert(probe.end(), {"true"});
  if (mk::run(probe, mk::Accept{1, 32}, mk::Silent{}).exit_code != 0) {
    MESSAGE("this user may not unmount /proc");
    return;
  }
  const mk::TempDir dir{"no-proc"};
  auto prefix = no_proc;
  prefix.insert(prefix.end(), {"env", "TMPDIR=" + dir.path().native()});
  const test::Mark mark;
  int input[2];
  REQUIRE(::pipe2(input, O_CLOEXEC) == 0);  // it stands for the one that the orders carry
  Alone<Words> far{
      {.words = {"cat"}, .env = {{"TEST_MARK", mark.text()}}, .in = input[0], .stop_budget = 1s},
      prefix};
  ::close(input[0]);
  ::close(input[1]);
  far.shell.write("ihello\\n\n");
  CHECK(test::eventually([&] { return far.shell.output() == "hello\n"; }, 10s));
  CHECK(std::filesystem::is_empty(dir.path()));
  far.shell.close_input();
  CHECK(test::eventually([&] { return !far.shell.running(); }, 8s));
  CHECK(mark.all_gone(5s));
}

TEST_CASE_TEMPLATE("far guardian: a paused command hears the last signal when the orders end",
                   Words, DashWords, BashWords, BusyboxWords) {
  if (!In<Words>::there_is()) return;
  const test::Mark mark;
  Alone<Words> far{says_bye(mark)};
  REQUIRE(test::eventually([&] { return far.shell.output() == "up\n"; }, 10s));
  far.shell.write("p\n");
  REQUIRE(test::eventually(
      [&] { return far.shell.err_output().find("paused") != std::string::npos; }, 10s));
  far.shell.close_input();
  CHECK(test::eventually([&] { return !far.shell.running(); }, 8s));
  CHECK(far.shell.output() == "up\nbye\n");
  CHECK(mark.all_gone());
}

TEST_CASE_TEMPLATE("far guardian: it kills the command when its first shell is killed", Words,
                   DashWords, BashWords, BusyboxWords) {
  if (!In<Words>::there_is()) return;
  const test::Mark mark;
  // Nobody closes the orders.
  Alone<Words> far{{.words = {"sh", "-c", "trap '' TERM; setsid sleep 300 & sleep 300; exit"},
                    .env = {{"TEST_MARK", mark.text()}},
                    .id = mark.text(),
                    .stop_budget = 60s}};
  REQUIRE(test::eventually([&] { return mark.count_processes() == 3; }, 10s));
  ::kill(far.shell.pid(), SIGKILL);
  CHECK(test::eventually([&] { return !far.shell.running(); }, 5s));
  CHECK(mark.all_gone(8s));
}

TEST_CASE_TEMPLATE("far guardian: it ends the command when the reader of its orders is killed",
                   Words, DashWords, BashWords, BusyboxWords) {
  if (!In<Words>::there_is()) return;
  const test::Mark mark;
  Alone<Words> far{says_bye(mark)};
  REQUIRE(test::eventually([&] { return far.shell.output() == "up\n"; }, 10s));
  int readers = 0;
  for (const pid_t pid : test::children_of(far.shell.pid()))
    if (std::filesystem::exists("/proc/" + std::to_string(pid) + "/fd/3"))
      readers += ::kill(pid, SIGKILL) == 0;
  CHECK(readers == 1);
  CHECK(mark.all_gone(5s));
  CHECK(far.shell.output() == "up\nbye\n");
}

TEST_CASE("far guardian: its clean-up commands run at the end") {
  const mk::TempDir dir{"clean"};
  struct Cleaning : Near {
    std::string file;
    [[nodiscard]] mk::LaunchRequest launch(mk::LaunchRequest request) const {
      request.clean_up.push_back({"sh", "-c", "echo clean >>\"$0\"", file});
      return Near::launch(std::move(request));
    }
    [[nodiscard]] mk::GuardedProcess spawn(const mk::LaunchRequest& request) const {
      return mk::GuardedSpawner{}.spawn(launch(request));
    }
  };
  mk::Executor executor{mk::Shell{"echo ready; sleep 300"},
                        Cleaning{{{"sh"}}, (dir / "log").native()}, mk::BannerCheck{"ready"},
                        budget};
  executor.start().stop();
  CHECK(test::slurp(dir / "log") == "clean\n");
  executor.start().kill();
  CHECK(test::slurp(dir / "log").starts_with("clean\nclean\n"));
}
