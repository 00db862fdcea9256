// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/os/signals_blocked.hpp>
#include <mirakuru/spawn/guardian/clean_up.hpp>

#include "child.hpp"
#include "files.hpp"

namespace mk = mirakuru;
using mk::detail::CleanUp;

namespace {

std::vector<CleanUp::Task> tasks_of(const std::vector<std::string>& lines) {
  std::vector<CleanUp::Task> tasks;
  for (const auto& line : lines) {
    const mk::LaunchRequest request{.words = {"/bin/sh", "-c", line}};
    tasks.push_back({request, mk::local_exec(request)});
  }
  return tasks;
}

}  // namespace

TEST_CASE("CleanUp: without a command it needs no memory") {
  mk::detail::StringArena arena{nullptr};
  CleanUp none{{}, arena};
  CHECK(CleanUp::extra_size({}) == 0);
  CHECK(none.empty());
  none.run();
}

TEST_CASE("CleanUp: all commands run in turn, also after one that fails") {
  const test::TempDir directory;
  const auto log = directory / "log";
  const auto tasks = tasks_of(
      {"sleep 0.1; echo first >> " + log, "exit 3", "test -c /dev/stdin && echo last >> " + log});
  std::vector<char> memory(CleanUp::extra_size(tasks) + 1, '#');
  mk::detail::StringArena arena{memory.data()};
  CleanUp all{tasks, arena};
  CHECK_FALSE(all.empty());
  CHECK(memory.back() == '#');  // it has asked for as much as it needs
  // It closes the standard streams.
  const int status = test::in_child([&] {
    const mk::detail::SignalsBlocked blocked;
    for (const int fd : {0, 1, 2}) ::close(fd);
    all.run();
    return ::fcntl(0, F_GETFD) < 0 && ::fcntl(2, F_GETFD) < 0;
  });
  CHECK(status == 0);
  CHECK(test::slurp(log) == "first\nlast\n");
}
