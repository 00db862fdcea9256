// SPDX-License-Identifier: BSL-1.0
#include <sys/stat.h>
#include <unistd.h>
#include <csignal>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "child.hpp"
#include "support.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

static_assert(mk::Executor<mk::CgroupSpawner>::guarantee() == mk::Guarantee::tree_ends_with_owner);

namespace {

/// The directory for groups on this machine; empty, with a message, if there is none.
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

TEST_CASE("where no group can be had, the error says why") {
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

TEST_CASE("the command and its descendants are in a group of their own, which goes with them") {
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

TEST_CASE("kill() ends what forks without end, and nothing of a failed start is left") {
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
  CHECK(elapsed < 2s);
  CHECK(test::processes_matching(mark) == 0);
  CHECK_THROWS_AS((mk::Executor{mk::Argv{"/etc/passwd"}, mk::CgroupSpawner{}}.start()),
                  mk::SpawnError);
}

TEST_CASE("groups that the command has made in its own go with it") {
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

TEST_CASE("the group of a host that dies goes, too") {
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
