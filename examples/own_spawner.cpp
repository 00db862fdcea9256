// SPDX-License-Identifier: BSL-1.0

// How do I start the command elsewhere, as through ssh? With a spawner of your own, which rewrites
// the words and hands the request to another spawner.

#include <unistd.h>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <mirakuru.hpp>

namespace mk = mirakuru;

/// Runs a command by a remote shell: `RemoteShell{.reach = {"ssh", "node7"}}`. A remote shell takes
/// one line, so the directory and the added variables go into that line, too.
template <mk::Spawner Base = mk::GuardedSpawner>
struct RemoteShell {
  std::vector<std::string> reach;  // the words before the line
  Base base = {};

  auto spawn(mk::LaunchRequest request) const {
    std::vector<std::string> words{"env"};
    for (const auto& [name, value] : request.env) words.push_back(name + '=' + value);
    words.insert(words.end(), request.words.begin(), request.words.end());
    auto line = "exec " + mk::Argv{std::move(words)}.line();
    if (!request.cwd.empty())
      line = "cd " + mk::Argv{std::vector{request.cwd}}.line() + " && " + line;
    request.words = reach;
    request.words.push_back(line);
    request.cwd.clear();
    request.env.clear();
    return base.spawn(request);
  }
};

namespace {

/// The far machine: a directory with a program that no PATH of this process has.
struct FarMachine {
  FarMachine() {
    std::filesystem::create_directory(bin);
    std::ofstream{bin + "/far-service"} << "#!/bin/sh\n"
                                           "trap 'exit 3' TERM\n"
                                           "echo \"$GREETING from $PWD, with $1\"\n"
                                           "while :; do sleep 0.01; done\n";
    std::filesystem::permissions(bin + "/far-service", std::filesystem::perms::owner_all);
  }
  ~FarMachine() { std::filesystem::remove_all(root); }

  std::string root = [] {
    std::string path = std::filesystem::temp_directory_path() / "far-XXXXXX";
    return ::mkdtemp(path.data()) != nullptr ? path : throw std::runtime_error{"mkdtemp"};
  }();
  std::string bin = root + "/bin";
};

template <class Base>
bool runs(const FarMachine& far) {
  // In the place of {"ssh", "node7"}: a shell with the PATH of the far machine.
  const RemoteShell<Base> spawner{
      .reach = {"env", "PATH=" + far.bin + ":/usr/bin:/bin", "sh", "-c"}};
  mk::Executor service{mk::Command{.argv = {"far-service", "an 'odd' word"},
                                   .cwd = far.bin,
                                   .env = {{"GREETING", "good morning"}}},
                       spawner, mk::BannerCheck{"from"}, mk::Signals{.accept = {3}},
                       mk::TimeoutBudget{.start = std::chrono::seconds{30}}};
  service.start();
  std::cout << service.command() << ": pid " << service.pid() << ", " << service.output();
  const bool arrived =
      service.output() == "good morning from " + far.bin + ", with an 'odd' word\n";
  const auto pid = service.pid();
  service.stop();
  return arrived && service.exit_code() == 3 && ::kill(pid, 0) != 0;
}

}  // namespace

int main() {
  const FarMachine far;
  return runs<mk::GuardedSpawner>(far) && runs<mk::DirectSpawner>(far) ? 0 : 1;
}
