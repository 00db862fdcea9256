// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/spawn/far/far_guardian.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "process.hpp"
#include "programs.hpp"
#include "slurm.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::contains;
using Strings = std::vector<std::string>;

namespace {

/// A cluster of one node with two processors, which the tests share.
test::SlurmCluster* cluster() {
  static const auto reason = test::SlurmCluster::why_not();
  if (!reason.empty()) {
    MESSAGE("skipped: ", reason);
    return nullptr;
  }
  static const auto shared =
      std::make_unique<test::SlurmCluster>(test::SlurmOptions{.nodes = 1, .cpus = 2});
  return shared.get();
}

/// A line of the shell with the mark among its words, for srun's environment of the cluster.
mk::Command script(const test::SlurmCluster& slurm, const std::string& line,
                   const std::string& mark) {
  return {.argv = Strings{"sh", "-c", line + "\nexit", mark}, .env = slurm.env()};
}
constexpr auto ignores_all = "trap '' TERM INT HUP; echo up; while :; do sleep 1; done";
constexpr mk::TimeoutBudget budget{.start = 30s, .stop = 10s};

/// Answers each request with the name of the host that it was asked by.
constexpr auto http_server = R"(
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.headers['Host'].encode())
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
)";

/// A job that is still to begin shows no process yet, so its entry in the queue counts as well.
bool nothing_left(const test::SlurmCluster& slurm, const std::string& mark) {
  const test::Elapsed elapsed;
  bool in_time = true;
  const bool cancelled = test::eventually(
      [&] {
        in_time = in_time && (elapsed < 8s || test::processes_matching(mark) == 0);
        return slurm.run({"squeue", "-h"}) == "";
      },
      40s);  // KillWait is 30 s
  const int left = test::processes_matching(mark);
  CHECK(in_time);  // by the clean-up, not by the silence of ten seconds
  CHECK(cancelled);
  CHECK(left == 0);
  return in_time && cancelled && left == 0;
}

}  // namespace

TEST_CASE("Slurm: the request runs srun with the choices as its words") {
  const mk::LaunchRequest request{.words = {"a b", ""}, .id = "7:ab,c"};
  const auto launched = mk::Slurm{.partition = "debug",
                                  .tasks = 2,
                                  .cpus = 3,
                                  .memory = "500M",
                                  .time = "10:00",
                                  .options = {"--nice=5"},
                                  .program = "/opt/slurm/bin/srun"}
                            .launch(request);
  const auto line = test::line(launched.words);
  CHECK(launched.words.front() == "/opt/slurm/bin/srun");
  for (const char* const word : {"--job-name=mirakuru-7-ab-c", "--ntasks=2", "--partition=debug",
                                 "--cpus-per-task=3", "--mem=500M", "--time=10:00", "--nice=5"})
    CHECK_MESSAGE(contains(line, word), line);
  REQUIRE(launched.clean_up.size() == 1);
  CHECK(contains(test::line(launched.clean_up[0]), "/opt/slurm/bin/scancel"));
}

TEST_CASE("Slurm: a number of tasks or processors that cannot be is refused") {
  const mk::LaunchRequest request{.words = {"true"}};
  CHECK_THROWS_AS((void)mk::Slurm{.tasks = 0}.launch(request), std::invalid_argument);
  CHECK_THROWS_AS((void)mk::Slurm{.cpus = -1}.launch(request), std::invalid_argument);
}

TEST_CASE("Slurm: a command runs as a job, and its exit code is the service's") {
  auto* const slurm = cluster();
  if (slurm == nullptr) return;
  const auto mark = test::mark();
  mk::Executor job{script(*slurm, "echo on $SLURMD_NODENAME; echo words >&2; exit 7", mark),
                   mk::Slurm{.partition = "debug"}, budget};
  job.start();
  CHECK(test::eventually([&] { return !job.running(); }, 20s));
  CHECK(job.exit_code() == 7);
  CHECK(contains(job.output(), "on node1\n"));
  CHECK(contains(job.err_output(), "words\n"));
  CHECK(nothing_left(*slurm, mark));
}

TEST_CASE("Slurm: a task that ends before another one is up ends nothing else") {
  auto* const slurm = cluster();
  if (slurm == nullptr) return;
  const auto mark = test::mark();
  const mk::TempDir dir{"late"};
  dir.write("late", "#!/bin/sh\n[ $SLURM_PROCID = 0 ] || sleep 1\n");
  std::filesystem::permissions(dir / "late", std::filesystem::perms::owner_all);
  mk::Executor job{script(*slurm,
                          "[ $SLURM_PROCID = 1 ] || exit 0; echo up\n"
                          "read line; echo got $line; exec sleep 1000",
                          mark),
                   mk::Slurm{.tasks = 2, .options = {"--task-prolog=" + (dir / "late").native()}},
                   mk::BannerCheck{"up"}, budget};
  job.start().write("it\n");
  job.wait_for([&] { return job.output() == "up\ngot it\n"; }, 20s);
  job.stop();
  CHECK(job.exit_code() == -SIGTERM);
  CHECK(nothing_left(*slurm, mark));
}

TEST_CASE("Slurm: the bad end of one task is the service's, and a stop ends the others") {
  auto* const slurm = cluster();
  if (slurm == nullptr) return;
  const auto mark = test::mark();
  mk::Executor job{
      script(*slurm, "echo up; [ $SLURM_PROCID = 0 ] || exec sleep 1000\nsleep 1; exit 3", mark),
      mk::Slurm{.tasks = 2}, mk::BannerCheck{.pattern = "up", .times = 2}, mk::Silent{}, budget};
  job.start();
  CHECK(test::eventually([&] { return job.exit_code().has_value(); }, 20s));
  CHECK(job.exit_code() == 3);
  CHECK(job.running());  // the other one
  CHECK_THROWS_AS(job.stop(), mk::ProcessFinishedWithError);
  CHECK(nothing_left(*slurm, mark));
}

TEST_CASE("Slurm: checks look at the node of the job") {
  auto* const slurm = cluster();
  if (slurm == nullptr) return;
  const auto mark = test::mark();
  const mk::FreePort port;
  mk::Executor server{
      mk::Command{.argv = Strings{"python3", "-c", http_server, port.str(), mark},
                  .env = slurm->env()},
      mk::Slurm{},
      mk::TCPCheck{mk::spawned_host, port},
      mk::HTTPCheck{.url = {mk::spawned_host, port, "/"}, .body = "127.0.0.1:" + port.str()},
      mk::TalkCheck{.host = mk::spawned_host,
                    .port = port,
                    .send = "GET / HTTP/1.0\r\n\r\n",
                    .expect = "200 OK"},
      mk::ExecCheck{mk::Shell{"test $SLURMD_NODENAME = node1"}},
      budget};
  server.start();
  CHECK(server.port() == port);
  server.stop();
  CHECK(nothing_left(*slurm, mark));
  mk::Executor silent{mk::Command{.argv = Strings{"sleep", "300"}, .env = slurm->env()},
                      mk::Slurm{}, mk::HTTPCheck{{mk::spawned_host, port, "/health"}},
                      mk::TimeoutBudget{.start = 3s, .stop = 5s}};
  const auto message = test::message_of<mk::TimeoutExpired>([&] { silent.start(); });
  CHECK_MESSAGE(contains(message, "HEAD http://the spawned host:" + port.str() + "/health"),
                message);
  CHECK_MESSAGE(contains(message, "\n  place: Slurm, on 127.0.0.1\n"), message);
  CHECK(nothing_left(*slurm, mark));
}

TEST_CASE("Slurm: the stop signal reaches the command") {
  auto* const slurm = cluster();
  if (slurm == nullptr) return;
  const auto mark = test::mark();
  mk::Executor job{
      script(*slurm, "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done", mark),
      mk::Slurm{}, mk::BannerCheck{"up"}, budget};
  job.start();
  job.stop();
  CHECK(contains(job.output(), "bye\n"));
  CHECK(nothing_left(*slurm, mark));
}

TEST_CASE("Slurm: a command that ignores all signals is killed, at once by kill()") {
  auto* const slurm = cluster();
  if (slurm == nullptr) return;
  const auto mark = test::mark();
  mk::Executor job{script(*slurm, ignores_all, mark), mk::Slurm{}, mk::BannerCheck{"up"}, budget};
  job.start();
  const test::Elapsed elapsed;
  job.kill();
  CHECK(nothing_left(*slurm, mark));
  CHECK(elapsed < 20s);  // KillWait is 30 s
}

TEST_CASE("Slurm: a job that waits in the queue says why, and is cancelled") {
  auto* const slurm = cluster();
  if (slurm == nullptr) return;
  const auto mark = test::mark();
  mk::Executor first{script(*slurm, "echo up; while :; do sleep 0.1; done", mark),
                     mk::Slurm{.cpus = 2}, mk::BannerCheck{"up"}, budget};
  first.start();
  mk::Executor second{script(*slurm, "echo up; while :; do sleep 0.1; done", mark),
                      mk::Slurm{.cpus = 2}, mk::BannerCheck{"up"},
                      mk::TimeoutBudget{.start = 3s, .stop = 10s}};
  const auto message = test::message_of<mk::TimeoutExpired>([&] { second.start(); });
  CHECK_MESSAGE(contains(message, "PENDING: Resources"), message);
  CHECK(test::eventually([&] { return slurm->run({"squeue", "-h", "-o", "%T"}) == "RUNNING\n"; },
                         20s));
  first.stop();
  CHECK(nothing_left(*slurm, mark));
}

TEST_CASE("Slurm: nothing is left of a job if its owner is killed") {
  auto* const slurm = cluster();
  if (slurm == nullptr) return;
  const auto mark = test::mark();
  test::Program owner{[&](const test::Wire& wire) {
    mk::Executor job{script(*slurm, ignores_all, mark), mk::Slurm{}, mk::BannerCheck{"up"},
                     mk::TimeoutBudget{.start = 30s, .stop = 1s}};
    job.start();
    wire.say("up");
    wire.hear();
  }};
  REQUIRE(owner.hear() == "up");
  CHECK(test::commands_matching(mark) > 0);
  owner.kill();
  CHECK(nothing_left(*slurm, mark));
}

TEST_CASE("Slurm: nothing is left, at whichever moment of the start the owner is killed") {
  auto* const slurm = cluster();
  if (slurm == nullptr) return;
  for (int round = 0; round < 12; ++round) {
    const auto mark = test::mark();
    test::Program owner{[&](const test::Wire& wire) {
      mk::Executor job{script(*slurm, ignores_all, mark), mk::Slurm{}, mk::BannerCheck{"up"},
                       mk::TimeoutBudget{.start = 30s, .stop = 1s}};
      wire.say("starts");
      job.start();
      wire.hear();
    }};
    REQUIRE(owner.hear() == "starts");
    const test::Elapsed elapsed;
    test::eventually([&] { return elapsed >= round * 20ms; });
    owner.kill();
    CHECK_MESSAGE(nothing_left(*slurm, mark), "killed after " << round * 20 << " ms");
  }
}

TEST_CASE("Slurm: a partition that does not exist is an error at once, in Slurm's words") {
  auto* const slurm = cluster();
  if (slurm == nullptr) return;
  const auto mark = test::mark();
  mk::Executor job{script(*slurm, "echo up; sleep 100", mark), mk::Slurm{.partition = "nope"},
                   mk::BannerCheck{"up"}, budget};
  const test::Elapsed elapsed;
  const auto message = test::message_of<mk::ExecutorError>([&] { job.start(); });
  CHECK_MESSAGE(contains(message, "Invalid partition name specified"), message);
  CHECK(elapsed < 20s);
  CHECK(nothing_left(*slurm, mark));
}

TEST_CASE("Slurm: a job that can never run is an error at once, in Slurm's words") {
  if (cluster() == nullptr) return;
  const test::SlurmCluster strict{{.nodes = 1,
                                   .cpus = 2,
                                   .settings = "EnforcePartLimits=ALL\n"
                                               "PartitionName=closed Nodes=ALL State=INACTIVE\n"
                                               "PartitionName=short Nodes=ALL MaxTime=1"}};
  const auto refusal = [&](const mk::Slurm& slurm) {
    const auto mark = test::mark();
    mk::Executor job{script(strict, "echo up; sleep 100", mark), slurm, mk::BannerCheck{"up"},
                     budget};
    const test::Elapsed elapsed;
    const auto message = test::message_of<mk::ExecutorError>([&] { job.start(); });
    CHECK(elapsed < 20s);
    CHECK(nothing_left(strict, mark));
    return message;
  };
  const auto check = [&](const mk::Slurm& slurm, const char* words) {
    const auto message = refusal(slurm);
    CHECK_MESSAGE(contains(message, words), message);
  };
  check({.partition = "closed"}, "Required partition not available");
  check({.cpus = 64}, "More processors requested than permitted");
  check({.memory = "500G"}, "Requested node configuration is not available");
  check({.partition = "short", .time = "10:00"}, "Requested time limit is invalid");
  check({.time = "soon"}, "Invalid --time specification");
  check({.options = {"--nonsense"}}, "unrecognized option '--nonsense'");
}

TEST_CASE("Slurm: a queue that is full is an error in time, and a start waits for a place in it") {
  if (cluster() == nullptr) return;
  // There is place for one job. Ended jobs count as well, until the controller forgets them.
  const test::SlurmCluster full{{.nodes = 1, .cpus = 2, .settings = "MaxJobCount=2\nMinJobAge=2"}};
  const auto first_mark = test::mark(), second_mark = test::mark();
  mk::Executor first{script(full, "echo up; while :; do sleep 0.1; done", first_mark), mk::Slurm{},
                     mk::BannerCheck{"up"}, budget};
  first.start();
  mk::Executor second{script(full, "echo up; while :; do sleep 0.1; done", second_mark),
                      mk::Slurm{}, mk::BannerCheck{"up"}, mk::Silent{},
                      mk::TimeoutBudget{.start = 3s, .stop = 10s}};
  const test::Elapsed elapsed;
  const auto message = test::message_of<mk::TimeoutExpired>([&] { second.start(); });
  CHECK(elapsed < 13s);
  CHECK_MESSAGE(contains(message, "no job of its name is in the queue"), message);
  CHECK_MESSAGE(contains(message, "sleeping and retrying"), message);
  CHECK(test::processes_matching(second_mark) == 0);

  first.stop();
  mk::Executor third{script(full, "echo up; exec sleep 1000", second_mark), mk::Slurm{},
                     mk::BannerCheck{"up"}, mk::TimeoutBudget{.start = 120s, .stop = 10s}};
  third.start().stop();
  CHECK(nothing_left(full, second_mark));
  CHECK(nothing_left(full, first_mark));
}

// Within an allocation of the user's own.

namespace {

/// A job of the user with two processors, and a step on one of them.
class Allocation {
 public:
  explicit Allocation(const test::SlurmCluster& slurm)
      : slurm_{slurm},
        job_{mk::Command{.argv = Strings{"salloc", "--ntasks=2", "--job-name=the-users", "sh", "-c",
                                         "env | grep ^SLURM_\n"
                                         "srun --exact --ntasks=1 --job-name=own sh -c "
                                         "'echo up; sleep 1000; exit' &\nwait"},
                         .env = slurm.env()},
             mk::BannerCheck{"^up"}, mk::Silent{}, budget} {
    job_.start();
    std::istringstream lines{job_.output()};
    for (std::string line; std::getline(lines, line);)
      if (const auto at = line.find('='); at != line.npos)
        env_[line.substr(0, at)] = line.substr(at + 1);
  }
  ~Allocation() { slurm_.run({"scancel", id()}); }

  [[nodiscard]] std::string id() const { return env_.at("SLURM_JOB_ID"); }
  /// A service in the environment that salloc gives.
  [[nodiscard]] mk::Command command(const std::string& line, const std::string& mark) const {
    auto all = script(slurm_, line, mark);
    for (const auto& [name, value] : env_) all.env[name] = value;
    return all;
  }
  /// True when the job runs with the user's step alone, within a time.
  [[nodiscard]] bool is_as_before(const std::string& mark) {
    const bool gone = test::eventually([&] { return test::processes_matching(mark) == 0; }, 20s);
    const bool alone = test::eventually([&] { return steps() == "own\n"; }, 20s);
    CHECK(gone);
    CHECK_MESSAGE(alone, steps());
    CHECK(slurm_.run({"squeue", "-h", "-o", "%j %T"}) == "the-users RUNNING\n");
    CHECK(job_.running());
    return gone && alone;
  }
  /// The names of the steps that are on the node. Slurm may keep the entry of one whose srun has
  /// ended before the launch, which no command of Slurm removes.
  [[nodiscard]] std::string steps() const {
    std::istringstream lines{slurm_.run({"squeue", "-s", "-h", "-S", "i", "-o", "%i %j"})};
    std::string names;
    for (std::string id, name; lines >> id >> name;)
      if (test::exists(slurm_.directory() / ("spool-node1/node1_" + id))) names += name + '\n';
    return names;
  }

 private:
  const test::SlurmCluster& slurm_;
  mk::Executor<mk::BannerCheck, mk::Silent, mk::TimeoutBudget> job_;
  std::map<std::string, std::string> env_;
};

/// Stops the far guardians of the cluster, as on a node that hangs.
int stop_far_guardians(const test::SlurmCluster& slurm) {
  int stopped = 0;
  const auto conf = "SLURM_CONF=" + (slurm.directory() / "slurm.conf").native();
  test::each_number_in("/proc", [&](pid_t pid, int) {
    const auto proc = "/proc/" + std::to_string(pid);
    const auto words = test::slurp(proc + "/cmdline");
    if (!contains(words, mk::detail::far_shell) || contains(words, "srun")) return;
    if (!contains(test::slurp(proc + "/environ"), conf)) return;
    stopped += ::kill(pid, SIGSTOP) == 0;
  });
  return stopped;
}

}  // namespace

TEST_CASE("Slurm: within an allocation a service is a step, and a stop ends that alone") {
  auto* const slurm = cluster();
  if (slurm == nullptr) return;
  Allocation allocation{*slurm};
  const auto mark = test::mark();
  mk::Executor polite{allocation.command("echo $SLURM_JOB_ID; echo up; exec sleep 1000", mark),
                      mk::Slurm{}, mk::BannerCheck{"up"},
                      mk::ExecCheck{{"sh", "-c", "test $SLURM_JOB_ID = " + allocation.id()}},
                      budget};
  polite.start();
  CHECK(polite.output() == allocation.id() + "\nup\n");
  CHECK(contains(allocation.steps(), "mirakuru-"));
  polite.stop();
  CHECK(allocation.is_as_before(mark));

  mk::Executor stubborn{allocation.command(ignores_all, mark), mk::Slurm{}, mk::BannerCheck{"up"},
                        mk::Silent{}, mk::TimeoutBudget{.start = 30s, .stop = 1s}};
  stubborn.start().stop();
  CHECK(allocation.is_as_before(mark));
  stubborn.start().kill();
  CHECK(allocation.is_as_before(mark));
}

TEST_CASE("Slurm: within an allocation the owner's death ends the step alone") {
  auto* const slurm = cluster();
  if (slurm == nullptr) return;
  Allocation allocation{*slurm};
  for (int round = 0; round < 6; ++round) {
    const auto mark = test::mark();
    test::Program owner{[&](const test::Wire& wire) {
      mk::Executor service{allocation.command(ignores_all, mark), mk::Slurm{},
                           mk::BannerCheck{"up"}, mk::TimeoutBudget{.start = 30s, .stop = 1s}};
      wire.say("starts");
      service.start();
      wire.say("up");
      wire.hear();
    }};
    REQUIRE(owner.hear() == "starts");
    const test::Elapsed elapsed;
    if (round == 0)
      REQUIRE(owner.hear() == "up");
    else
      test::eventually([&] { return elapsed >= round * 20ms; });
    owner.kill();
    CHECK_MESSAGE(allocation.is_as_before(mark), "round " << round);
  }
}

TEST_CASE("Slurm: within an allocation a node that hangs costs the step alone") {
  auto* const slurm = cluster();
  if (slurm == nullptr) return;
  Allocation allocation{*slurm};
  const auto mark = test::mark();
  mk::Executor service{allocation.command(ignores_all, mark), mk::Slurm{}, mk::BannerCheck{"up"},
                       mk::Silent{}, mk::TimeoutBudget{.start = 30s, .stop = 1s}};
  service.start();
  CHECK(stop_far_guardians(*slurm) >= 2);
  ::kill(service.pid(), SIGKILL);  // srun would end the step
  CHECK(test::eventually([&] { return !service.running(); }, 20s));
  CHECK(allocation.is_as_before(mark));
}

TEST_CASE("Slurm: the clean-up ends the step of its name, and nothing else of an allocation") {
  auto* const slurm = cluster();
  if (slurm == nullptr) return;
  Allocation allocation{*slurm};
  for (const bool by_options : {false, true}) {
    const auto mark = test::mark();
    const auto id = "1:" + std::string{by_options ? "b" : "a"};
    // In the environment of salloc, and as with --jobid among the options.
    const auto env = by_options ? slurm->env() : allocation.command("", mark).env;
    const auto clean_up = [&](const std::string& of) {
      const mk::LaunchRequest request{.words = {"true"}, .id = of};
      const auto words = mk::Slurm{}.launch(request).clean_up.at(0);
      mk::run(mk::Command{.argv = words, .env = env}, mk::NoInput{});
    };
    mk::Executor step{
        mk::Command{.argv = Strings{"srun", "--jobid=" + allocation.id(), "--exact", "--ntasks=1",
                                    "--job-name=" + mk::detail::unit_name(id), "sh", "-c",
                                    std::string{ignores_all} + "\nexit", mark},
                    .env = slurm->env()},
        mk::BannerCheck{"up"}, mk::Silent{}, mk::Signals{.accept = {137}}, budget};
    step.start();
    clean_up("1:c");  // somebody else's
    CHECK(allocation.steps() == "own\n" + mk::detail::unit_name(id) + "\n");
    const test::Elapsed elapsed;
    clean_up(id);
    CHECK(test::eventually([&] { return !step.running(); }, 20s));
    CHECK(elapsed < 20s);  // KillWait is 30 s
    CHECK(allocation.is_as_before(mark));
  }
}

TEST_CASE("Slurm: a service is a step of the allocation that its options name") {
  auto* const slurm = cluster();
  if (slurm == nullptr) return;
  Allocation allocation{*slurm};
  const auto mark = test::mark();
  mk::Executor service{script(*slurm, ignores_all, mark),
                       mk::Slurm{.options = {"--jobid=" + allocation.id()}},
                       mk::BannerCheck{"up"},
                       mk::ExecCheck{{"sh", "-c", "test $SLURM_JOB_ID = " + allocation.id()}},
                       mk::Silent{},
                       mk::TimeoutBudget{.start = 30s, .stop = 1s}};
  service.start();
  CHECK(contains(allocation.steps(), "mirakuru-"));
  service.stop();
  CHECK(allocation.is_as_before(mark));
}
