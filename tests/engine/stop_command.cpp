// SPDX-License-Identifier: BSL-1.0
// The command of StopByCommand, made up and without a clock.
#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <system_error>

#include <doctest/doctest.h>

#include <mirakuru/engine/stop_command.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::ResolvedCommand;

namespace {

constexpr mk::TimePoint epoch{100h};

/// A command that stops a service, and all that it has been told.
struct Command {
  bool alive = true, refused = false;
  int exit_code = 0, event = -1, signal = 0;
  std::string prints = {};
  bool cannot_run = false;
  mk::LaunchRequest request = {};
};

struct Handle {
  Command* command;

  [[nodiscard]] bool alive() const { return command->alive; }
  [[nodiscard]] std::optional<int> exit_code() const {
    return command->alive ? std::nullopt : std::optional{command->exit_code};
  }
  [[nodiscard]] int event() const { return command->event; }
  [[nodiscard]] bool refused() const { return command->refused; }
  void signal(int number) const { command->signal = number; }
};

struct Spawner {
  Command* command;

  [[nodiscard]] Handle spawn(const mk::LaunchRequest& request) const {
    if (command->cannot_run)
      throw std::system_error{ENOENT, std::generic_category(), "cannot run stop-it"};
    command->request = request;
    const auto& text = command->prints;
    REQUIRE(::write(request.out, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    return {command};
  }
};

using StopCommand = mk::detail::StopCommand<Spawner>;

const ResolvedCommand words{{"stop-it", "now"}};

}  // namespace

TEST_CASE("StopCommand: the spawner gets its words, its budget and a file for its output") {
  Command command;
  StopCommand stop{Spawner{&command}, words, 7s};
  CHECK(command.request.words == std::vector<std::string>{"stop-it", "now"});
  CHECK(command.request.start_budget == 7s);
  CHECK(command.request.out == command.request.err);
  CHECK(command.request.out > 2);
  CHECK(stop.lives());
  CHECK_FALSE(stop.has_failed());
}

TEST_CASE("StopCommand: one that ends with 0 has not failed") {
  Command command;
  StopCommand stop{Spawner{&command}, words, 7s};
  command.alive = false;
  CHECK_FALSE(stop.lives());
  CHECK_FALSE(stop.has_failed());
  CHECK_FALSE(stop.has_failed());
}

TEST_CASE("StopCommand: a failure is told once, with the last lines of the output") {
  Command command{.exit_code = 3, .prints = "one\ntwo\nthree\nfour\n"};
  StopCommand stop{Spawner{&command}, words, 7s};
  command.alive = false;
  CHECK(stop.has_failed());
  CHECK_FALSE(stop.has_failed());
  CHECK(stop.failure() ==
        "the command that stops it, stop-it now: exited with a non-zero code: 3; "
        "two\nthree\nfour");
}

TEST_CASE("StopCommand: one that cannot run has failed, and does not live") {
  Command command{.cannot_run = true};
  StopCommand stop{Spawner{&command}, words, 7s};
  CHECK_FALSE(stop.lives());
  CHECK(stop.has_failed());
  CHECK_FALSE(stop.has_failed());
  CHECK(stop.failure() ==
        "the command that stops it, stop-it now: cannot run stop-it: No such file or directory");
  mk::WaitSet waits;
  stop.wait(epoch, waits);
  CHECK(waits.deadline() == mk::TimePoint::max());
}

TEST_CASE("StopCommand: it is killed once, and given up 10 s later") {
  Command command;
  StopCommand stop{Spawner{&command}, words, 7s};
  CHECK_FALSE(stop.resists(epoch));
  CHECK(command.signal == SIGKILL);
  command.signal = 0;
  CHECK_FALSE(stop.resists(epoch + 9999ms));
  CHECK(command.signal == 0);
  CHECK(stop.lives());
  CHECK(stop.resists(epoch + 10s));
  CHECK_FALSE(stop.lives());
}

TEST_CASE("StopCommand: one that may not be signalled is given up soon") {
  Command command{.refused = true};
  StopCommand stop{Spawner{&command}, words, 7s};
  CHECK_FALSE(stop.resists(epoch));
  CHECK_FALSE(stop.resists(epoch + 99ms));
  CHECK(stop.resists(epoch + 100ms));
}

TEST_CASE("StopCommand: it is waited for by its event, or soon without one") {
  Command command;
  StopCommand stop{Spawner{&command}, words, 7s};
  mk::WaitSet none;
  stop.wait(epoch, none);
  CHECK(none.deadline() == epoch + 5ms);
  command.event = 100;  // a descriptor that nobody looks at
  mk::WaitSet one;
  stop.wait(epoch, one);
  CHECK(one.size() == 1);
  CHECK(one.deadline() == epoch + 100ms);
}
