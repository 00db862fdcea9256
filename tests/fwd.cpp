// SPDX-License-Identifier: BSL-1.0
#include <mirakuru/fwd.hpp>

// A user's header declares these before any definition.
struct Fixture {
  explicit Fixture(mirakuru::SimpleExecutor& simple);
  Fixture(mirakuru::TCPExecutor& tcp, const mirakuru::TCPCheck& check);
  Fixture(mirakuru::HTTPExecutor& http, const mirakuru::HTTPCheck& check);

  mirakuru::SimpleExecutor* simple = nullptr;
  mirakuru::TCPExecutor* tcp = nullptr;
  mirakuru::HTTPExecutor* http = nullptr;
  mirakuru::OutputExecutor* output = nullptr;
  mirakuru::UnixSocketExecutor* unix_socket = nullptr;
  mirakuru::PidExecutor* pid = nullptr;
};
void all_are_declared(const mirakuru::Argv&, const mirakuru::Command&, const mirakuru::Shell&,
                      const mirakuru::Process&, const mirakuru::Readiness&,
                      const mirakuru::DirectSpawner&, const mirakuru::TimeoutBudget&,
                      const mirakuru::Signals&, const mirakuru::SignalLadder&,
                      const mirakuru::Capture&, const mirakuru::Inherit&, const mirakuru::Discard&,
                      const mirakuru::ToFile&, const mirakuru::BannerCheck&,
                      const mirakuru::UnixSocketCheck&, const mirakuru::PidCheck&,
                      const mirakuru::ReportToStderr&, const mirakuru::Silent&);

#include <csignal>
#include <string>
#include <type_traits>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "net.hpp"
#include "words.hpp"

namespace mk = mirakuru;

static_assert(std::is_same_v<mk::SimpleExecutor, mk::Executor<>>);
static_assert(std::is_same_v<mk::TCPExecutor, mk::Executor<mk::TCPCheck>>);
static_assert(std::is_same_v<mk::HTTPExecutor, mk::Executor<mk::TCPCheck, mk::HTTPCheck>>);
static_assert(std::is_same_v<mk::OutputExecutor, mk::Executor<mk::BannerCheck>>);
static_assert(std::is_same_v<mk::UnixSocketExecutor, mk::Executor<mk::UnixSocketCheck>>);
static_assert(std::is_same_v<mk::PidExecutor, mk::Executor<mk::PidCheck>>);

static_assert(std::is_same_v<mk::Defaults::Spawner, mk::GuardedSpawner>);
static_assert(std::is_same_v<mk::Defaults::Budget, mk::TimeoutBudget>);
static_assert(std::is_same_v<mk::Defaults::SignalStrategy, mk::Signals>);
static_assert(std::is_same_v<mk::Defaults::Output, mk::Capture>);
static_assert(std::is_same_v<mk::Defaults::Reporter, mk::ReportToStderr>);

// Each has its definition now, of the same kind as its declaration.
static_assert(sizeof(mk::SimpleExecutor) > 0 && sizeof(mk::OutputExecutor) > 0);
static_assert(sizeof(mk::TCPExecutor) > 0 && sizeof(mk::UnixSocketExecutor) > 0);
static_assert(sizeof(mk::PidExecutor) > 0);
static_assert(sizeof(mk::Argv) > 0 && sizeof(mk::Command) > 0 && sizeof(mk::Shell) > 0);
static_assert(sizeof(mk::Process) > 0 && sizeof(mk::Readiness) > 0);
static_assert(mk::Spawner<mk::DirectSpawner>);
static_assert(mk::Budget<mk::TimeoutBudget>);
static_assert(mk::SignalStrategy<mk::Signals> && mk::SignalStrategy<mk::SignalLadder>);
static_assert(mk::Output<mk::Capture> && mk::Output<mk::Inherit>);
static_assert(mk::Output<mk::Discard> && mk::Output<mk::ToFile>);
static_assert(mk::Reporter<mk::ReportToStderr> && mk::Reporter<mk::Silent>);
static_assert(mk::ReadinessCheck<mk::BannerCheck> && mk::ReadinessCheck<mk::TCPCheck>);
static_assert(mk::ReadinessCheck<mk::UnixSocketCheck> && mk::ReadinessCheck<mk::PidCheck>);
#if !defined(MIRAKURU_NO_HTTP)
static_assert(mk::ReadinessCheck<mk::HTTPCheck> && sizeof(mk::HTTPExecutor) > 0);
#endif

Fixture::Fixture(mk::SimpleExecutor& executor) : simple{&executor} {}
Fixture::Fixture(mk::TCPExecutor& executor, const mk::TCPCheck&) : tcp{&executor} {}

TEST_CASE("Forward declarations: they match the definitions") {
  mk::SimpleExecutor executor{"sleep 300"};
  const Fixture fixture{executor};
  CHECK(fixture.simple->start().running());
  CHECK(fixture.simple->pid() == executor.pid());

  const mk::TCPCheck check{"127.0.0.1", test::free_port()};
  mk::TCPExecutor server{{test::helper(), "listen", "127.0.0.1", std::to_string(check.port)},
                         check};
  CHECK(Fixture{server, check}.tcp->start().running());
  CHECK(test::connects("127.0.0.1", check.port));
}

TEST_CASE("Forward declarations: an executor with the default policies is the plain one") {
  using Spelled = mk::Executor<mk::Defaults::Output, mk::Defaults::SignalStrategy,
                               mk::Defaults::Budget, mk::Defaults::Spawner>;
  static_assert(sizeof(Spelled) == sizeof(mk::SimpleExecutor));
  mk::SimpleExecutor left_out{mk::Shell{"echo foobar; exec sleep 300"}};
  Spelled spelled{mk::Shell{"echo foobar; exec sleep 300"}};
  const auto same = [](auto& executor) {
    const auto printed = [&] { return executor.output() == "foobar\n"; };
    CHECK(executor.start().wait_for(printed).stop().exit_code() == -SIGTERM);
    CHECK(executor.start().kill().exit_code() == -SIGKILL);
  };
  same(left_out);
  same(spelled);
}
