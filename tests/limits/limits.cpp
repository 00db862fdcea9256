// SPDX-License-Identifier: BSL-1.0
#include <sys/resource.h>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;
using test::message_of;

TEST_CASE("Limits: those that are given") {
  CHECK(mk::Limits{}.limits().empty());
  CHECK(mk::Unlimited::limits().empty());
  const auto all = mk::Limits{.memory = 1 << 20, .files = 7, .cpu = 1500ms, .core = 0}.limits();
  REQUIRE(all.size() == 4);
  CHECK(all[0].resource == RLIMIT_AS);
  CHECK(all[0].soft == 1 << 20);
  CHECK(all[1].resource == RLIMIT_NOFILE);
  CHECK(all[1].hard == 7);
  CHECK(all[2].resource == RLIMIT_CPU);
  CHECK(all[2].soft == 2);
  CHECK(all[2].hard == 3);
  CHECK(all[3].resource == RLIMIT_CORE);
  CHECK(all[3].soft == 0);
}

TEST_CASE_TEMPLATE("Limits: the command has them", Spawner, mk::GuardedSpawner, mk::DirectSpawner) {
  mk::Executor shell{
      mk::Shell{"ulimit -v; ulimit -n; ulimit -t; ulimit -c"}, in_time, Spawner{},
      mk::Limits{.memory = std::uint64_t{1} << 30, .files = 64, .cpu = 2s, .core = 0}};
  CHECK(shell.start().wait(30s).output() == "1048576\n64\n2\n0\n");
}

TEST_CASE("Limits: the error tells which one has ended it") {
  mk::Executor limited{mk::Shell{"while :; do :; done"}, mk::BannerCheck{"never"}, in_time,
                       mk::Limits{.cpu = 1s}};
  const auto message = message_of<mk::ProcessExitedWithError>([&] { limited.start(); });
  CHECK(message.find("\n  note: its limit of processor time (1 s) has ended it") != message.npos);
  mk::Executor failing{mk::Shell{"exit 1"}, mk::BannerCheck{"never"}, in_time,
                       mk::Limits{.files = 64, .core = 0}};
  const auto other = message_of<mk::ProcessExitedWithError>([&] { failing.start(); });
  CHECK(other.find("\n  note: its limits: files 64, core file 0 bytes") != other.npos);
}

TEST_CASE("Limits: impossible ones are refused") {
  CHECK_THROWS_AS((mk::Executor{"true", mk::Limits{.cpu = -1s}}), std::invalid_argument);
  CHECK_THROWS_AS((mk::Executor{"true", mk::Limits{.files = 2}}), std::invalid_argument);
}

TEST_CASE("Limits: one that cannot be set is an error that names the call") {
  struct Impossible {
    std::vector<mk::ResourceLimit> limits() const { return {{RLIMIT_NOFILE, 2, 1}}; }
  };
  mk::Executor executor{"true", Impossible{}};
  CHECK(message_of<mk::SpawnError>([&] {
          executor.start();
        }).starts_with("cannot start: prlimit: Invalid argument"));
}
