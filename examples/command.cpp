// SPDX-License-Identifier: BSL-1.0
// How do I give a command its directory and environment, and read its output and exit code?

#include <iostream>
#include <string>

#include <mirakuru.hpp>

namespace mk = mirakuru;

int main() {
  // Without a check start() returns when the command runs. wait() returns when it has ended.
  mk::SimpleExecutor report{
      mk::Command{.argv = {"sh", "-c", "echo $GREETING from $PWD; echo 'no config' >&2; exit 2"},
                  .cwd = "/",
                  .env = {{"GREETING", "hello"}}}};
  report.start().wait();
  std::cout << report.command() << "\n  exit code " << report.exit_code().value_or(-1)
            << "\n  output " << report.output() << "  errors " << report.err_output();
  const bool good = report.exit_code() == 2 && report.output() == "hello from /\n" &&
                    report.err_output() == "no config\n";

  // An exit code other than 0 is an error of stop().
  try {
    report.stop();
  } catch (const mk::ProcessFinishedWithError& error) {
    std::cout << error.what() << '\n';
    return good && error.exit_code() == 2 ? 0 : 1;
  }
  return 1;
}
