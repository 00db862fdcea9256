// SPDX-License-Identifier: BSL-1.0
// How do I wait for something that only my service knows?
// A lambda is a check. A struct can also name itself, and look before the start.

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>

#include <mirakuru.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;

struct FileExists {
  std::filesystem::path file;

  bool operator()(const mk::Process&) const { return already_true(); }
  std::string describe() const { return "the file " + file.string(); }
  bool already_true() const { return std::filesystem::exists(file); }  // asked before the start
  std::string describe_conflict() const { return file.string() + " is already there"; }
};

int main() {
  char name[] = "/tmp/mirakuru-own-check-XXXXXX";
  const std::filesystem::path directory = ::mkdtemp(name);
  const FileExists endpoint{directory / "endpoint"};
  const auto migrated = [](const mk::Process& process) -> mk::Readiness {
    if (process.output().find("migrations: done") != std::string::npos) return true;
    return mk::not_ready("the migrations are still running");
  };

  int failed = 3;
  const mk::Shell service{"sleep 0.1; echo migrations: done; : >" + endpoint.file.string() +
                          "; exec sleep 60"};
  mk::Executor database{service, migrated, endpoint};
  if (database.start().running()) --failed;

  try {
    mk::Executor{service, migrated, endpoint}.start();
  } catch (const mk::AlreadyRunning& error) {
    std::cout << error.what() << "\n\n";
    --failed;
  }
  try {
    mk::Executor{"sleep 60", migrated, mk::TimeoutBudget{.start = 50ms}}.start();
  } catch (const mk::TimeoutExpired& error) {
    std::cout << error.what() << '\n';
    --failed;
  }
  std::filesystem::remove_all(directory);
  return failed;
}
