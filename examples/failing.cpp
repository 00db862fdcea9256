// SPDX-License-Identifier: BSL-1.0
// A test fails: how do I see the reason, keep the logs, and run the service below another program?
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <string>

namespace mk = mirakuru;

int main() {
  const mk::TempDir logs{"logs"};  // MIRAKURU_KEEP=1 in the environment keeps it
  std::string reason;
  try {
    mk::Executor{mk::Shell{"echo 'no table t' >&2; exit 3"}, mk::TCPCheck{"127.0.0.1", 0},
                 mk::Capture{.keep_on_failure = logs.path()}}
        .start();
  } catch (const mk::ProcessExitedWithError& error) {
    reason = error.what();  // with the output, and the place of the copy
  }
  std::cout << reason << "\n\n";

  // Best set in the shell: MIRAKURU_WRAP='redis*=valgrind -q; server=strace -f -o log'.
  ::setenv("MIRAKURU_WRAP", "sleep=timeout 60", 1);
  // MIRAKURU_LOG=verbose prints a line for each step; so does a reporter of your own.
  const auto print = [](const mk::Event& event) { std::cout << mk::line_of(event) << '\n'; };
  mk::Executor wrapped{"sleep 30", print};
  wrapped.start();
  const auto name = mk::run({"cat", "/proc/" + std::to_string(wrapped.pid()) + "/comm"}).output;

  const bool kept = !std::filesystem::is_empty(logs.path());
  const bool told = reason.find("no table t") != std::string::npos;
  return kept && told && name == "timeout\n" ? 0 : 1;
}
