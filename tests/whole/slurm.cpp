// SPDX-License-Identifier: BSL-1.0
// The cluster of the tests of Slurm: it is real, and nothing of it is left.
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

#include "child.hpp"
#include "files.hpp"
#include "process.hpp"
#include "programs.hpp"
#include "slurm.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::contains;
using test::SlurmCluster;

namespace {

bool has_slurm() {
  const auto reason = SlurmCluster::why_not();
  if (!reason.empty()) MESSAGE("skipped: ", reason);
  return reason.empty();
}

/// A job of two nodes, whose tasks have the mark in their words. On each node one leaves its
/// session.
std::vector<std::string> job(const std::string& mark) {
  return {"srun", "-N2",
          "-n2",  "-J",
          mark,   "sh",
          "-c",   "(setsid sh -c 'sleep 1000; exit' " + mark + " &); echo up; sleep 1000; exit",
          mark};
}
bool both_run(const std::string& mark) {
  const std::string sleeper = "sleep 1000; exit " + mark;
  return test::eventually([&] { return test::commands_matching("sh -c " + sleeper) == 2; }, 20s);
}

}  // namespace

TEST_CASE("SlurmCluster: each node runs a task, and the daemons run in the foreground") {
  if (!has_slurm()) return;
  SlurmCluster slurm;
  const auto out = slurm.run({"srun", "-N2", "-n2", "sh", "-c", "echo on $SLURMD_NODENAME"});
  CHECK(contains(out, "on node1\n"));
  CHECK(contains(out, "on node2\n"));
  CHECK(test::eventually([&] { return slurm.jobs("sh") == ""; }, 20s));
  CHECK(slurm.group().running());
}

TEST_CASE("SlurmCluster: two of them live beside each other") {
  if (!has_slurm()) return;
  SlurmCluster one{{.nodes = 1}}, two{{.nodes = 1, .cpus = 2}};
  CHECK(one.run({"srun", "sh", "-c", "echo $SLURM_CPUS_ON_NODE; exit"}) == "1\n");
  CHECK(one.run({"sinfo", "-h", "-o", "%D %c"}) == "1 4\n");
  CHECK(two.run({"sinfo", "-h", "-o", "%D %c"}) == "1 2\n");
}

TEST_CASE("SlurmCluster: a job that cannot run waits, and its reason is seen") {
  if (!has_slurm()) return;
  SlurmCluster slurm{{.nodes = 1, .cpus = 1}};
  const auto mark = test::mark();
  const mk::Signals ends{.accept = {1, 137}};  // srun's own words for a cancelled job
  const auto sleeper = [&](const char* name) {
    return mk::Executor{
        mk::Command{.argv = {"srun", "-J", name, "sleep", "1000"}, .env = slurm.env()}, ends};
  };
  auto first = sleeper("first"), second = sleeper("second");
  mk::Executor third{mk::Command{.argv = job(mark), .env = slurm.env()}, ends};
  first.start();
  CHECK(test::eventually([&] { return slurm.jobs("first") == "RUNNING None\n"; }, 20s));
  second.start();
  CHECK(test::eventually([&] { return slurm.jobs("second") == "PENDING Resources\n"; }, 20s));
  third.start();  // two nodes: more than there are
  CHECK(test::eventually([&] { return slurm.jobs(mark) == "PENDING PartitionConfig\n"; }, 20s));
}

TEST_CASE("SlurmCluster: a running job ends with it, and so do the files") {
  if (!has_slurm()) return;
  const auto mark = test::mark();
  std::optional<SlurmCluster> slurm{std::in_place};
  const std::string directory = slurm->directory().path();
  mk::Executor client{mk::Command{.argv = job(mark), .env = slurm->env()}, mk::BannerCheck{"up"}};
  client.start();
  CHECK(both_run(mark));
  slurm.reset();
  client.kill();
  CHECK(test::processes_matching(mark) == 0);
  CHECK(test::processes_matching(directory) == 0);
  CHECK_FALSE(test::exists(directory));
}

TEST_CASE("SlurmCluster: nothing is left of it if the test is killed") {
  if (!has_slurm()) return;
  const auto mark = test::mark();
  test::Program program{[&](const test::Wire& wire) {
    SlurmCluster slurm;
    mk::Executor client{mk::Command{.argv = job(mark), .env = slurm.env()}, mk::BannerCheck{"up"},
                        mk::Signals{.stop = SIGKILL}};
    client.start();
    wire.say(slurm.directory().path());
    wire.hear();
  }};
  const auto directory = program.hear();
  REQUIRE(contains(directory, "mirakuru-slurm-"));
  CHECK(both_run(mark));
  program.kill();
  CHECK(test::eventually([&] { return test::processes_matching(mark) == 0; }, 15s));
  CHECK(test::eventually([&] { return test::processes_matching(directory) == 0; }, 15s));
  CHECK(test::eventually([&] { return !test::exists(directory); }, 15s));
}

TEST_CASE("SlurmCluster: a plain user can have one") {
  if (!has_slurm()) return;
  const int status = test::in_child([] {
    if (::geteuid() == 0 && !test::become_nobody()) return false;
    SlurmCluster slurm;
    return contains(slurm.run({"srun", "id", "-u"}), std::to_string(::geteuid()) + "\n");
  });
  CHECK(status == 0);
}
