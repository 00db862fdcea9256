// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>
#include <csignal>
#include <string>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

#include "errors.hpp"
#include "podman.hpp"
#include "process.hpp"
#include "slurm.hpp"
#include "sshd.hpp"
#include "time.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

// One launcher by means of another, each with the real thing behind it.

namespace {

constexpr mk::TimeoutBudget budget{.start = 60s, .stop = 5s};

struct Job {
  static std::string why_not() {
    const auto reason = test::SlurmCluster::why_not();
    return reason.empty() ? test::Sshd::why_not() : reason;
  }
  test::Sshd sshd;
  test::SlurmCluster cluster;

  template <class... Policies>
  auto make(const std::string& line, mk::Slurm slurm, Policies... policies) {
    auto env = cluster.env();
    env["GREETING"] = "good morning";
    return mk::Executor{mk::Command{.argv = line, .env = env, .shell = true},
                        mk::Over{slurm, sshd.ssh()}, policies..., budget};
  }
  [[nodiscard]] bool nothing_left() const {
    return test::eventually([&] { return cluster.run({"squeue", "-h"}).empty(); }, 60s) &&
           test::eventually([&] { return test::children_of(sshd.pid()).empty(); }, 10s);
  }
};

}  // namespace

#define NEEDS(Fixture)                        \
  if (!Fixture::why_not().empty()) {          \
    MESSAGE("skipped: ", Fixture::why_not()); \
    return;                                   \
  }

TEST_CASE("Over: a job of Slurm by ssh has its output, input, checks and exit code") {
  NEEDS(Job);
  Job job;
  auto service =
      job.make("echo ready on $SLURMD_NODENAME: $GREETING; cat; exit 3", {},
               mk::BannerCheck{"ready"}, mk::ExecCheck{mk::Shell{"test -n \"$GREETING\""}});
  service.start().write("hello\n");
  service.wait_for([&] { return service.output().ends_with("hello\n"); }, 20s);
  CHECK(service.output() == "ready on node1: good morning\nhello\n");
  service.close_input().wait(20s);
  CHECK(service.exit_code() == 3);
  CHECK_THROWS_AS(service.stop(), mk::ProcessFinishedWithError);
  CHECK(job.nothing_left());
}

TEST_CASE("Over: a job by ssh stops, also one that ignores signals") {
  NEEDS(Job);
  Job job;
  auto service = job.make("echo ready; exec sleep 300", {}, mk::BannerCheck{"ready"});
  service.start().stop();
  CHECK(service.exit_code() == -SIGTERM);
  auto stubborn = job.make("trap '' TERM; echo ready; while :; do sleep 0.1; done", {},
                           mk::BannerCheck{"ready"}, mk::Silent{});
  stubborn.start().kill();
  CHECK(stubborn.exit_code() == -SIGKILL);
  CHECK(job.nothing_left());
}

TEST_CASE("Over: an error of Slurm and of its node comes by ssh") {
  NEEDS(Job);
  Job job;
  auto refused = job.make("true", {.partition = "nowhere"});
  CHECK(test::message_of<mk::SpawnError>([&] {
          refused.start();
        }).find("Invalid partition name specified") != std::string::npos);
  mk::Executor missing{mk::Command{.argv = "no-such-program", .env = job.cluster.env()},
                       mk::Over{mk::Slurm{}, job.sshd.ssh()}, budget};
  CHECK(test::message_of<mk::SpawnError>([&] {
          missing.start();
        }).starts_with("cannot run no-such-program on Slurm: no such file or directory"));
  CHECK(job.nothing_left());
}

TEST_CASE("Over: a job by ssh ends when the local client is killed") {
  NEEDS(Job);
  Job job;
  auto service = job.make("echo ready; sleep 300", {}, mk::BannerCheck{"ready"}, mk::Silent{});
  service.start();
  ::kill(service.pid(), SIGKILL);
  CHECK(test::eventually([&] { return !service.running(); }));
  CHECK(job.nothing_left());
}

TEST_CASE("Over: a job by ssh outlives a wait in the queue that is longer than the silence") {
  NEEDS(Job);
  Job job;
  auto first = job.make("echo ready; exec sleep 12", {.tasks = 8}, mk::BannerCheck{"ready"});
  first.start();
  auto second = job.make("echo ready; exec sleep 300", {}, mk::BannerCheck{"ready"});
  const test::Elapsed elapsed;
  second.start();  // when the first has ended
  CHECK(elapsed >= 10s);
  second.stop();
  CHECK(job.nothing_left());
}

TEST_CASE("Over: a container by ssh has its environment, and is removed") {
  if (!test::Podman::why_not().empty() || !test::Sshd::why_not().empty()) {
    MESSAGE("skipped: ", test::Podman::why_not(), test::Sshd::why_not());
    return;
  }
  test::Sshd sshd;
  auto& podman = *test::Podman::get();
  mk::Executor service{
      mk::Command{.argv = "trap 'exit 0' TERM; echo ready $GREETING; while :; do sleep 0.1; done",
                  .env = {{"GREETING", "good 'morning'"}},
                  .shell = true},
      mk::Over{podman.podman(), sshd.ssh()}, mk::BannerCheck{"ready"},
      mk::ExecCheck{mk::Shell{"test \"$GREETING\" = \"good 'morning'\""}}, budget};
  service.start();
  CHECK(service.output() == "ready good 'morning'\n");
  service.stop();
  CHECK(service.exit_code() == 0);
  CHECK(podman.containers().empty());
  service.start();
  ::kill(service.pid(), SIGKILL);
  CHECK(test::eventually([&] { return podman.containers().empty(); }, 20s));
}
