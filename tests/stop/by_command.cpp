// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;
using test::message_of;

namespace {

/// A service that writes its id to a file, and leaves with 0 at SIGUSR1.
mk::Shell service(const std::string& file) {
  return {"trap 'exit 0' USR1; echo $$ > " + file + "; echo up; while :; do sleep 0.01; done"};
}

}  // namespace

TEST_CASE_TEMPLATE("StopByCommand: the command ends the service", Spawner, mk::GuardedSpawner,
                   mk::DirectSpawner) {
  const test::TempDir directory;
  const auto file = directory / "pid";
  mk::Executor executor{service(file), mk::BannerCheck{"up"}, in_time, Spawner{},
                        mk::StopByCommand{{"sh", "-c", "kill -USR1 $(cat " + file + ")"}}};
  executor.start().stop();
  CHECK(executor.exit_code() == 0);
  executor.start().stop();  // again
  CHECK(executor.exit_code() == 0);
  executor.start().kill();  // without it
  CHECK(executor.exit_code() == -SIGKILL);
}

TEST_CASE_TEMPLATE("StopByCommand: the signals follow at once if it fails", Spawner,
                   mk::GuardedSpawner, mk::DirectSpawner) {
  for (const auto& words : {std::vector<std::string>{"/no/such/program"}, {"sh", "-c", "exit 3"}}) {
    mk::Executor executor{"sleep 300", mk::StopByCommand{mk::detail::ResolvedCommand(words)},
                          in_time, Spawner{}};
    executor.start();
    const test::Elapsed elapsed;
    executor.stop();
    CHECK(executor.exit_code() == -SIGTERM);
    CHECK(elapsed < 5s);
  }
  mk::Executor failing{mk::Shell{"trap 'exit 4' TERM; echo up; while :; do sleep 0.01; done"},
                       mk::BannerCheck{"up"}, in_time, Spawner{},
                       mk::StopByCommand{{"sh", "-c", "echo no such database; exit 3"}}};
  failing.start();
  const auto message = message_of<mk::ProcessFinishedWithError>([&] { failing.stop(); });
  CHECK(message.find("\n  note: the command that stops it, sh -c 'echo no such database; exit 3': "
                     "exited with a non-zero code: 3; no such database") != message.npos);
}

TEST_CASE_TEMPLATE("StopByCommand: one that hangs costs its wait, and is gone", Spawner,
                   mk::GuardedSpawner, mk::DirectSpawner) {
  const auto mark = test::mark();
  mk::Executor executor{
      "sleep 300", in_time, Spawner{},
      mk::StopByCommand{
          .command = {test::helper(), "sleep", "60000", mark}, .wait = 100ms, .stop = SIGINT}};
  executor.start();
  const test::Elapsed elapsed;
  executor.stop();
  CHECK(executor.exit_code() == -SIGINT);
  CHECK(elapsed >= 100ms);
  CHECK(elapsed < 5s);
  CHECK(test::processes_matching(mark) == 0);
}
