// SPDX-License-Identifier: BSL-1.0
// How do I wait for something that only my service knows?
// A lambda is a check. A struct can also name itself, and look before the start.
#include <filesystem>
#include <iostream>
#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

namespace mk = mirakuru;

struct FileExists {
  std::filesystem::path file;

  bool operator()(const mk::Process&) const { return already_true(); }
  std::string describe() const { return "the file " + file.string(); }
  bool already_true() const { return std::filesystem::exists(file); }  // asked before the start
  std::string describe_conflict() const { return file.string() + " is already there"; }
};

int main() {
  const mk::TempDir dir;
  const FileExists endpoint{dir / "endpoint"};
  const auto migrated = [](const mk::Process& process) -> mk::Readiness {
    if (process.output().find("migrations: done") != std::string::npos) return true;
    return mk::not_ready("the migrations are still running");  // the error would say so
  };
  const mk::Shell service{"sleep 0.1; echo migrations: done; : >" + endpoint.file.string() +
                          "; exec sleep 60"};

  mk::Executor database{service, migrated, endpoint};
  database.start();
  try {
    mk::Executor{service, migrated, endpoint}.start();
  } catch (const mk::AlreadyRunning& error) {
    std::cout << error.what() << '\n';
    return database.running() ? 0 : 1;
  }
  return 1;
}
