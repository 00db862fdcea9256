// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>
#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/engine/service_base.hpp>

#include "errors.hpp"
#include "fake.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::ServiceBase;
using mk::detail::UniqueFd;
using test::epoch;
using test::message_of;

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
