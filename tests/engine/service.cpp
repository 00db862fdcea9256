// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <poll.h>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>
#include <system_error>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/engine/service.hpp>

#include "child.hpp"
#include "fake.hpp"
#include "process.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

TEST_CASE("Service: the spawner gets the strategy's steps, the budget and the output") {
  test::FakeTree tree;
  auto service =
      test::fake_service(tree, mk::SignalLadder{{SIGINT, 2s}}, mk::TimeoutBudget{.stop = 7s});
  bool open = false;
  tree.on_spawn = [&] {
    open = ::fcntl(tree.request.in, F_GETFD) == FD_CLOEXEC &&
           ::fcntl(tree.request.out, F_GETFD) == FD_CLOEXEC &&
           ::fcntl(tree.request.err, F_GETFD) == FD_CLOEXEC;
  };
  service.spawn();
  CHECK(service.process);
  CHECK(open);
  CHECK(tree.request.words == std::vector<std::string>{"fake", "command"});
  REQUIRE(tree.request.steps.size() == 1);
  CHECK(tree.request.steps[0].signal == SIGINT);
  CHECK(tree.request.stop_budget == 7s);
  // No copy of the command's end of standard input stays here.
  pollfd input{.fd = service.input.get(), .events = POLLOUT, .revents = 0};
  CHECK(::poll(&input, 1, 0) == 1);
  CHECK((input.revents & POLLERR) != 0);
}

TEST_CASE("Service: an error of the spawner becomes the user's SpawnError") {
  test::FakeTree tree;
  auto service = test::fake_service(tree);
  std::string expected;
  SUBCASE("one that says which step has failed") {
    tree.on_spawn = [] {
      throw mk::SpawnFailure{"cannot run fake", {EACCES, std::generic_category()}};
    };
    expected = "cannot run fake: permission denied";
  }
  SUBCASE("any other one of the system") {
    tree.on_spawn = [] { throw std::system_error{EACCES, std::generic_category(), "fork"}; };
    expected = "cannot start: fork: Permission denied";
  }
  const auto fds = test::open_fds();
  try {
    service.spawn();
    FAIL("it is spawned");
  } catch (const mk::SpawnError& error) {
    CHECK(error.code() == std::error_code{EACCES, std::generic_category()});
    CHECK(std::string{error.what()} == expected + "\n  command: fake command");
  }
  CHECK_FALSE(service.process);
  CHECK_FALSE(service.input);
  service.reset_last_run();
  CHECK(test::open_fds() == fds);
}

TEST_CASE("Service: alive() keeps all that the process tells") {
  test::FakeTree tree;
  auto service = test::fake_service(tree);
  CHECK_FALSE(service.alive());
  service.spawn();
  CHECK(service.alive());
  CHECK_FALSE(service.exit_code);
  tree.exit_code = 3;
  tree.stragglers = {{4712, "sleep"}};
  tree.trouble = "the guardian is gone";
  CHECK(service.alive());
  CHECK(service.exit_code == 3);
  tree.alive = false;
  CHECK_FALSE(service.alive());
  REQUIRE(service.stragglers.size() == 1);
  CHECK(service.stragglers[0].pid == 4712);
  CHECK(service.trouble == "the guardian is gone");

  service.clear();
  CHECK_FALSE(service.process);
  CHECK_FALSE(service.input);
  CHECK_FALSE(service.alive());
  CHECK(service.exit_code == 3);
  CHECK(service.stragglers.size() == 1);
}

TEST_CASE("Service: a fork of the owner reports nothing, except of its own runs") {
  test::FakeTree tree;
  int events = 0;
  auto service = test::fake_service(tree, [&events](const mk::Event&) { ++events; });
  service.spawn();
  tree.end(3);
  const auto ends = [&] {
    service.alive();
    service.report_end(true);
    return events;
  };
  CHECK(test::in_child([&] { return ends() == 0; }) == 0);
  CHECK(test::in_child([&] {
          service.reset_last_run();
          return ends() == 1;
        }) == 0);
  CHECK(ends() == 1);
}

TEST_CASE("Service: kill_steps() is the kill signal for all of the budget") {
  test::FakeTree tree;
  const auto steps = test::fake_service(tree, mk::Signals{.kill = SIGQUIT}).kill_steps();
  CHECK(steps[0].signal == SIGQUIT);
  CHECK(steps[0].wait == std::chrono::nanoseconds::max());
}
