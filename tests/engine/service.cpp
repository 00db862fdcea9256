// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/engine/service.hpp>

#include "child.hpp"
#include "errors.hpp"
#include "fake.hpp"
#include "process.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::ServiceBase;
using mk::detail::UniqueFd;
using test::contains;
using test::epoch;
using test::message_of;
using test::refusal;

namespace {

const mk::Command command{.argv = {"server", "--name", "a b"},
                          .cwd = "/tmp",
                          .env = {{"LANG", "C"}, {"PORT", 80}, {"HOME", mk::unset}}};

/// True if a byte gets from the end that is held open to standard input.
bool reads_from(int in, const UniqueFd& held_open) {
  char byte = 0;
  return ::write(held_open.get(), "x", 1) == 1 && ::read(in, &byte, 1) == 1 && byte == 'x';
}

}  // namespace

TEST_CASE("ServiceBase: prepare() gives the spawner all that the user has asked for") {
  ServiceBase service{command};
  service.streams = mk::Capture{}.open();
  auto input = mk::HeldOpen{}.open();
  const auto request = service.prepare(input, false);
  CHECK(request.words == std::vector<std::string>{"server", "--name", "a b"});
  CHECK(request.cwd == "/tmp");
  CHECK(request.env == std::map<std::string, std::string>{{"LANG", "C"}, {"PORT", "80"}});
  CHECK(request.unset == std::vector<std::string>{"HOME", "NOTIFY_SOCKET"});
  CHECK(request.id == service.command.id());
  CHECK(request.id.starts_with(std::to_string(::getpid()) + ':'));
  CHECK(request.in == input.reading.get());
  CHECK(reads_from(request.in, service.input));
  CHECK(request.out >= 3);
  CHECK(request.out == service.streams.out().fd());
  CHECK(request.err == service.streams.err().fd());
  CHECK(request.out != request.err);
}

TEST_CASE("ServiceBase: where the output is the parent's own the spawner gets no descriptor") {
  ServiceBase service{command};
  auto input = mk::HeldOpen{}.open();
  const auto request = service.prepare(input, false);
  CHECK(request.out == -1);
  CHECK(request.err == -1);
  CHECK(request.in >= 3);
}

TEST_CASE("ServiceBase: one that has been moved from starts nothing") {
  ServiceBase service{command};
  const ServiceBase moved{std::move(service)};
  auto input = mk::NoInput{}.open();
  CHECK(message_of<std::logic_error>([&] { (void)service.prepare(input, false); }) ==
        "this executor has been moved from");
}

TEST_CASE("ServiceBase: error_context() tells all that is known at the moment") {
  ServiceBase service{command};
  const auto before = service.error_context(epoch);
  CHECK(before.command == "server --name 'a b'");
  CHECK(before.awaited.empty());
  CHECK(before.waited == 0s);
  CHECK(before.output.empty());

  service.timeline.spawned = epoch;
  service.trouble = "the guardian is gone";
  service.streams = mk::Capture{}.open();
  service.streams.keep();
  REQUIRE(::write(service.streams.out().fd(), "out\n", 4) == 4);
  REQUIRE(::write(service.streams.err().fd(), "err\n", 4) == 4);
  const auto context = service.error_context(epoch + 3s, "a port", "refused");
  CHECK(context.awaited == "a port");
  CHECK(context.waited == 3s);
  CHECK(context.reason == "refused");
  CHECK(context.trouble == "the guardian is gone");
  CHECK(context.output == "out");
  CHECK(context.err_output == "err");
}

TEST_CASE("ServiceBase: reset_last_run() leaves nothing of the run before") {
  ServiceBase service{command};
  service.streams = mk::Capture{}.open();
  service.timeline.spawned = service.timeline.ready = epoch;
  service.timeline.checks.resize(2);
  service.exit_code = 3;
  service.stragglers.push_back({4711, "sleep"});
  service.trouble = "the guardian is gone";
  service.reset_last_run();
  CHECK(service.streams.out().fd() == -1);
  CHECK(service.streams.err().fd() == -1);
  CHECK(service.timeline.spawned == mk::TimePoint{});
  CHECK(service.timeline.ready == mk::TimePoint{});
  CHECK(service.timeline.checks.empty());
  CHECK_FALSE(service.exit_code);
  CHECK(service.stragglers.empty());
  CHECK(service.trouble.empty());
}

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

TEST_CASE("make_service: a wrong signal and a negative time are refused") {
  test::FakeTree tree;
  const auto of = [&](auto policy) {
    return refusal([&] { (void)test::fake_service(tree, policy); });
  };
  CHECK(of(mk::Signals{.stop = 0}) == "not a signal: 0");
  CHECK(of(mk::Signals{.kill = -9}) == "not a signal: -9");
  CHECK(of(mk::Signals{.stop = SIGRTMAX}) == "nothing");
  CHECK(of(mk::Signals{.stop = SIGRTMAX + 1}).starts_with("not a signal: "));
  CHECK(of(mk::SignalLadder{{SIGINT, 1s}, {SIGTERM, -1ns}}) ==
        "the wait after a signal is negative");
  CHECK(of(mk::TimeoutBudget{.start = -1ns}) == "the start budget is negative");
  CHECK(of(mk::TimeoutBudget{.stop = -1ns}) == "the stop budget is negative");
  CHECK(of(mk::TimeoutBudget{.start = 0ns, .stop = 0ns}) == "nothing");
}
