// SPDX-License-Identifier: BSL-1.0
// How do I start the command in a way of my own, as by a remote shell?
// A spawner of your own rewrites the words, and hands the request to another spawner.
#include <iostream>
#include <mirakuru.hpp>

namespace mk = mirakuru;

/// Runs a command by a remote shell: `RemoteShell{{"ssh", "node7"}}`. That takes one line, so the
/// directory and the added variables go into the line, too.
struct RemoteShell {
  std::vector<std::string> reach;  // the words before the line

  auto spawn(mk::LaunchRequest request) const {
    std::vector<std::string> words{"env"};
    for (const auto& [name, value] : request.env) words.push_back(name + '=' + value);
    words.insert(words.end(), request.words.begin(), request.words.end());
    auto line = "cd " + mk::Argv{std::vector{request.cwd}}.line() + " && exec " +
                mk::Argv{std::move(words)}.line();
    request.words = reach;
    request.words.push_back(line);
    request.cwd.clear();
    request.env.clear();
    return mk::GuardedSpawner{}.spawn(request);
  }
};

int main() {
  mk::Executor service{mk::Command{.argv = {"sh", "-c", "echo $GREETING from $PWD; exec sleep 60"},
                                   .cwd = "/usr",
                                   .env = {{"GREETING", "good 'morning'"}}},
                       RemoteShell{{"sh", "-c"}},  // in place of {"ssh", "node7"}
                       mk::BannerCheck{"from"}};
  service.start();
  std::cout << service << ": " << service.output();
  return service.output() == "good 'morning' from /usr\n" ? 0 : 1;
}
