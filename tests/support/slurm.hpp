// SPDX-License-Identifier: BSL-1.0
// A Slurm cluster on loopback, for one test.

#pragma once

#include <netdb.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

namespace test {

struct SlurmOptions {
  int nodes = 2;              // named node1, node2, ...
  int cpus = 4;               // that each node says it has
  std::string settings = {};  // further lines of slurm.conf
};

/// munged, slurmctld and one slurmd for each node. They listen on 127.0.0.1 alone, and all files
/// are in one directory. Root and plain users can have one. Nothing is left at the end, nor after
/// the death of the test: the guardians keep the daemons with all that runs on the nodes.
class SlurmCluster {
 public:
  using Options = SlurmOptions;

  /// Starts it. Throws the errors of `Group::start()`.
  explicit SlurmCluster(const Options& options = {}) : ports_(1u + std::size_t(options.nodes)) {
    for (char** variable = ::environ; *variable != nullptr; ++variable)
      if (const std::string_view text{*variable}; text.starts_with("SLURM"))
        env_[std::string{text.substr(0, text.find('='))}] = mirakuru::unset;  // of a job around us
    env_["SLURM_CONF"] = dir_.write("slurm.conf", config(options)).native();
    dir_.write("munge.key", random_key());
    std::filesystem::permissions(dir_ / "munge.key", std::filesystem::perms::owner_read);
    std::filesystem::create_directory(dir_ / "state");

    const auto file = [this](const char* name) { return (dir_ / name).native(); };
    auto& munged = group_.add(mirakuru::Executor{
        // By force: the directory is for its user alone.
        command({program("munged"), "--foreground", "--force", "--socket=" + file("munge.socket"),
                 "--key-file=" + file("munge.key"), "--pid-file=" + file("munged.pid"),
                 "--seed-file=" + file("munged.seed"), "--log-file=" + file("munged.log")}),
        mirakuru::UnixSocketCheck{file("munge.socket")}, kill_, budget_});
    auto& controller =
        group_.add(mirakuru::Executor{command({program("slurmctld"), "-D"}),
                                      mirakuru::TCPCheck{"127.0.0.1", ports_[0]}, kill_, budget_},
                   mirakuru::needs(munged));
    for (int i = 1; i <= options.nodes; ++i) {
      const std::string node = "node" + std::to_string(i);
      group_.add(mirakuru::Executor{command({program("slurmd"), "-D", "-N", node}),
                                    mirakuru::ExecCheck{{"sh", "-c",
                                                         "state=$(sinfo -hN -p debug -n $0 -o %T)\n"
                                                         "[ \"$state\" = idle ] && exit\n"
                                                         "echo \"$0 is $state\"; exit 1",
                                                         node}},
                                    kill_, budget_},
                 mirakuru::needs(controller));
    }
    group_.start();
  }
  SlurmCluster(const SlurmCluster&) = delete;
  SlurmCluster& operator=(const SlurmCluster&) = delete;
  ~SlurmCluster() = default;

  /// The environment of srun, scancel, squeue: SLURM_CONF, and nothing of a job around the test.
  [[nodiscard]] const mirakuru::Environment& env() const { return env_; }
  [[nodiscard]] const mirakuru::TempDir& directory() const { return dir_; }
  /// The daemons: `running()`, `check_alive()`, `stop()`.
  [[nodiscard]] mirakuru::Group& group() { return group_; }
  /// Runs a command of Slurm to its end, and returns its output.
  std::string run(const std::vector<std::string>& words) const {
    return mirakuru::run(mirakuru::Command{.argv = words, .env = env_}, mirakuru::NoInput{}).output;
  }
  /// The jobs of this name: "RUNNING None", "PENDING Resources", a line for each.
  [[nodiscard]] std::string jobs(const std::string& name) const {
    return run({"squeue", "-h", "-n", name, "-o", "%T %r"});
  }

  /// The reason in words why there can be no cluster here; empty if there can.
  [[nodiscard]] static std::string why_not() {
    for (const char* const name :
         {"munged", "slurmctld", "slurmd", "srun", "sinfo", "squeue", "scancel"})
      if (program(name) == name) return std::string{name} + " is not installed";
    if (user().empty()) return "this user has no name";
    const auto help = mirakuru::run({program("slurmd"), "-h"}, mirakuru::Accept{1});
    if ((help.output + help.err_output).find("-N node") == std::string::npos)
      return "this build of slurmd has no -N: one node is one machine";
    char name[256] = {};
    addrinfo* found = nullptr;
    if (::gethostname(name, sizeof name - 1) != 0 ||
        ::getaddrinfo(name, nullptr, nullptr, &found) != 0)
      return std::string{"the name of this machine, "} + name + ", has no address";
    ::freeaddrinfo(found);
    return {};
  }

 private:
  /// The path of a program, which may be where only root's PATH looks; the name if there is none.
  static std::string program(const std::string& name) {
    const char* const path = std::getenv("PATH");
    std::string places = (path != nullptr ? path : "") + std::string{":/usr/sbin:/usr/local/sbin:"};
    for (std::size_t at = 0, end; (end = places.find(':', at)) != places.npos; at = end + 1) {
      const auto file = places.substr(at, end - at) + "/" + name;
      if (::access(file.c_str(), X_OK) == 0) return file;
    }
    return name;
  }
  static std::string user() {
    const passwd* const entry = ::getpwuid(::geteuid());
    return entry != nullptr ? entry->pw_name : "";
  }
  static std::string random_key() {
    std::random_device random;
    std::string key(128, '\0');
    for (char& byte : key) byte = static_cast<char>(random());
    return key;
  }

  [[nodiscard]] mirakuru::Command command(const std::vector<std::string>& words) const {
    return {.argv = words, .cwd = dir_, .env = env_, .scratch = dir_};
  }
  [[nodiscard]] std::string config(const Options& options) const {
    std::string nodes;
    for (int i = 1; i <= options.nodes; ++i)
      nodes += "NodeName=node" + std::to_string(i) +
               " NodeHostname=localhost NodeAddr=127.0.0.1 Port=" + ports_[std::size_t(i)].str() +
               " CPUs=" + std::to_string(options.cpus) + " RealMemory=1024\n";
    return mirakuru::render(R"(ClusterName=mirakuru
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=${port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=${user}
SlurmdUser=${user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=${dir}/munge.socket
StateSaveLocation=${dir}/state
SlurmctldPidFile=${dir}/slurmctld.pid
SlurmctldLogFile=${dir}/slurmctld.log
SlurmdSpoolDir=${dir}/spool-%n
SlurmdPidFile=${dir}/%n.pid
SlurmdLogFile=${dir}/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
${settings}
${nodes}PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
)",
                            {{"port", ports_[0]},
                             {"user", user()},
                             {"dir", dir_},
                             {"settings", options.settings},
                             {"nodes", nodes}});
  }

  // The state of the daemons goes with the directory: none needs time for its end.
  mirakuru::Signals kill_{.stop = SIGKILL};
  mirakuru::TimeoutBudget budget_{.start = std::chrono::seconds{60},
                                  .stop = std::chrono::seconds{10}};
  std::vector<mirakuru::FreePort> ports_;
  mirakuru::TempDir dir_{"slurm"};
  mirakuru::Environment env_;
  mirakuru::Group group_;  // ends before its directory
};

}  // namespace test
