// SPDX-License-Identifier: BSL-1.0
#include <sys/stat.h>
#include <unistd.h>
#include <csignal>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "child.hpp"
#include "files.hpp"
#include "process.hpp"
#include "time.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

static_assert(mk::Executor<mk::CgroupSpawner>::guarantee() == mk::Guarantee::tree_ends_with_owner);

namespace {

/// The parent for cgroups on this machine; empty, after a message with the reason, if there is
/// none.
std::string place() {
  mk::Executor executor{"sleep 300", mk::CgroupSpawner{}};
  try {
    executor.start();
  } catch (const mk::SpawnError& error) {
    MESSAGE("no cgroup to test with: ", error.what());
    return {};
  }
  return mk::detail::own_cgroup();
}

std::string group_of(pid_t pid) {
  const auto groups = test::slurp("/proc/" + std::to_string(pid) + "/cgroup");
  const auto at = groups.find("/mirakuru-");
  return at == std::string::npos ? "" : groups.substr(at, groups.find('\n', at) - at);
}

}  // namespace

TEST_CASE("CgroupSpawner: an error has the reason why there is no cgroup") {
  const test::TempDir directory;
  try {
    mk::Executor{"sleep 300", mk::CgroupSpawner{.parent = directory.path()}}.start();
    CHECK_MESSAGE(false, "start() did not throw");
  } catch (const mk::SpawnError& error) {
    CHECK(std::string{error.what()}.find("cannot start: the cgroup in " + directory.path()) == 0);
  }
  try {
    mk::Executor{"sleep 300", mk::CgroupSpawner{.parent = directory / "none"}}.start();
    CHECK_MESSAGE(false, "start() did not throw");
  } catch (const mk::SpawnError& error) {
    CHECK(error.code() == std::errc::no_such_file_or_directory);
    CHECK(std::string{error.what()}.find("cannot start: no cgroup can be made in") == 0);
  }
}

TEST_CASE("CgroupSpawner: the tree is in its own cgroup, which goes with it") {
  const auto parent = place();
  if (parent.empty()) return;
  mk::Executor executor{mk::Shell{"setsid sleep 301 & echo up; exec sleep 300"},
                        mk::CgroupSpawner{}, mk::BannerCheck{"up"}};
  executor.start();
  const auto group = group_of(executor.pid());
  REQUIRE_FALSE(group.empty());
  CHECK(group_of(::getpid()).empty());
  const auto directory = parent + group;
  CHECK(test::exists(directory));
  executor.stop();
  CHECK_FALSE(executor.running());
  CHECK_FALSE(test::exists(directory));
}

TEST_CASE("CgroupSpawner: kill() ends endless forks, a failed start leaves nothing") {
  if (place().empty()) return;
  const test::TempDir directory;
  const auto mark = "mark=" + directory.path();
  mk::Executor executor{
      mk::Shell{"for i in 1 2 3 4; do setsid sh -c 'while :; do setsid sleep 0.01 & sleep 0.002; "
                "done' " +
                mark + " & done; echo up; exec sleep 300 # " + mark},
      mk::CgroupSpawner{}, mk::BannerCheck{"up"}};
  executor.start();
  const test::Elapsed elapsed;
  executor.kill();
  CHECK(elapsed < 5s);
  CHECK(test::processes_matching(mark) == 0);
  CHECK_THROWS_AS((mk::Executor{mk::Argv{"/etc/passwd"}, mk::CgroupSpawner{}}.start()),
                  mk::SpawnError);
}

TEST_CASE("CgroupSpawner: cgroups that the command makes in its own go with it") {
  const auto parent = place();
  if (parent.empty()) return;
  mk::Executor executor{mk::Shell{"group=" + parent +
                                  "$(grep -o '/.*mirakuru-.*' /proc/self/cgroup); "
                                  "mkdir -p $group/one/two && echo up; exec sleep 300"},
                        mk::CgroupSpawner{}, mk::BannerCheck{"up"},
                        mk::TimeoutBudget{.start = 20s}};
  executor.start();
  const auto directory = parent + group_of(executor.pid());
  CHECK(test::exists(directory + "/one/two"));
  executor.stop();
  CHECK_FALSE(test::exists(directory));
}

TEST_CASE("CgroupSpawner: the cgroup of an owner that dies goes, too") {
  const auto parent = place();
  if (parent.empty()) return;
  const test::TempDir directory;
  CHECK(test::in_child([&] {
          mk::Executor executor{mk::Shell{"grep -o '/mirakuru-.*' /proc/self/cgroup > " +
                                          (directory / "group") + "; exec sleep 300"},
                                mk::CgroupSpawner{}};
          executor.start().wait_for([&] { return test::slurp(directory / "group").size() > 10; });
          ::_exit(0);
          return true;
        }) == 0);
  auto group = test::slurp(directory / "group");
  group.resize(group.find('\n'));
  CHECK(test::eventually([&] { return !test::exists(parent + group); }));
}
