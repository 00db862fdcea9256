// SPDX-License-Identifier: BSL-1.0
// Many services at once over Slurm, on a cluster of this machine alone: slurm_many COUNT. Prints
// the times and the memory. Nothing may be left.
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include <mirakuru.hpp>

#include "files.hpp"
#include "process.hpp"
#include "slurm.hpp"
#include "time.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

namespace {

/// The processes of one kind, and the memory that they have for themselves.
struct Usage {
  int processes = 0;
  long kilobytes = 0;

  void add(pid_t pid) {
    ++processes;
    const auto text = test::slurp("/proc/" + std::to_string(pid) + "/smaps_rollup");
    // Shared pages are divided among those that share them.
    if (const auto at = text.find("\nPss:"); at != text.npos)
      kilobytes += std::atol(text.c_str() + at + 5);
  }
  void print(const char* name, int services) const {
    std::printf("%s: %d processes, %.1f MB; %ld kB for each service\n", name, processes,
                static_cast<double>(kilobytes) / 1000, kilobytes / services);
  }
};

void print_memory(const std::string& mark, int services) {
  Usage guardians, clients;
  test::each_number_in("/proc", [&](pid_t pid, int) {
    const auto line = test::slurp("/proc/" + std::to_string(pid) + "/cmdline");
    if (line.find(mark) != line.npos)
      (line.starts_with("mirakuru: guards ") ? guardians : clients).add(pid);
  });
  guardians.print("guardians", services);
  clients.print("srun", services);
}

}  // namespace

int main(int argc, char** argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 10;
  if (const auto reason = test::SlurmCluster::why_not(); !reason.empty()) {
    std::printf("skipped: %s\n", reason.c_str());
    return 77;
  }
  bool left = true;
  try {
    const auto mark = "--comment=many-" + std::to_string(::getpid());
    test::SlurmCluster slurm{{.nodes = 1, .cpus = count}};
    using Service = mk::Executor<mk::Slurm, mk::BannerCheck, mk::TimeoutBudget>;
    std::vector<Service> services;
    for (int i = 0; i < count; ++i)
      services.emplace_back(
          mk::Command{.argv = "echo ready; exec sleep 3000", .env = slurm.env(), .shell = true},
          mk::Slurm{.options = {mark}}, mk::BannerCheck{"ready"},
          mk::TimeoutBudget{.start = 10min, .stop = 2min});
    const test::Elapsed start;
    mk::start_all(services);
    std::printf("%d services are ready after %.1f s\n", count, start.seconds());
    print_memory(mark, count);
    const test::Elapsed stop;
    mk::stop_all(services);
    std::printf("stop_all takes %.1f s\n", stop.seconds());
    left = !test::eventually(
        [&] { return slurm.run({"squeue", "-h"}).empty() && test::processes_matching(mark) == 0; },
        60s);
    if (left)
      std::printf("left: %d processes, jobs:\n%s", test::processes_matching(mark),
                  slurm.run({"squeue", "-h"}).c_str());
    std::fflush(stdout);
  } catch (const std::exception& error) {
    std::printf("%s\n", error.what());
    return 1;
  }
  return left ? 1 : 0;
}
