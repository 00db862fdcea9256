// SPDX-License-Identifier: BSL-1.0
// Directories of files stand for control groups; tests/spawn/cgroup.cpp has real ones.
#include <fcntl.h>
#include <sys/stat.h>
#include <array>
#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/spawn/guardian/control_group.hpp>

#include "files.hpp"

using mirakuru::detail::Cgroup;
using mirakuru::detail::ControlGroup;
using mirakuru::detail::UniqueFd;

namespace {

/// A directory in place of a control group.
struct Fake {
  explicit Fake(const std::string& path) {
    cgroup.path = path;
    cgroup.directory = UniqueFd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  }
  [[nodiscard]] ControlGroup group() {
    memory.resize(ControlGroup::extra_size(cgroup));
    mirakuru::detail::StringArena arena{memory.data()};
    return ControlGroup{cgroup, arena};
  }

  Cgroup cgroup;
  std::vector<char> memory;
};

void write_file(const std::string& path, const std::string& text) { std::ofstream{path} << text; }

}  // namespace

TEST_CASE("ControlGroup: none does nothing") {
  std::array<char, 1> memory{};
  mirakuru::detail::StringArena arena{memory.data()};
  CHECK(ControlGroup::extra_size({}) <= memory.size());
  const ControlGroup none{{}, arena};
  CHECK_FALSE(none.exists());
  CHECK(none.directory() == -1);
  none.kill();
  none.remove();
  int given = 0;
  none.each_descriptor([&given](int fd) { given += fd >= 0; });
  CHECK(given == 0);
}

TEST_CASE("ControlGroup: a group is frozen when the kernel says so") {
  const test::TempDir directory;
  Fake fake{directory / "."};
  const auto group = fake.group();
  CHECK(group.exists());
  CHECK_FALSE(group.freeze(true));  // no freezer
  write_file(directory / "cgroup.freeze", "0");
  write_file(directory / "cgroup.events", "populated 1\nfrozen 1\n");
  CHECK(group.freeze(true));
  CHECK(test::slurp(directory / "cgroup.freeze") == "1");
  CHECK(group.freeze(false));
  CHECK(test::slurp(directory / "cgroup.freeze") == "0");
  write_file(directory / "cgroup.events", "populated 1\nfrozen 0\n");
  CHECK_FALSE(group.freeze(true));
}

TEST_CASE("ControlGroup: a kill is one byte in its file") {
  const test::TempDir directory;
  Fake fake{directory / "."};
  write_file(directory / "cgroup.kill", "");
  fake.cgroup.kill = UniqueFd{::open((directory / "cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC)};
  fake.group().kill();
  CHECK(test::slurp(directory / "cgroup.kill") == "1");
}

TEST_CASE("ControlGroup: it is removed with those below it") {
  const test::TempDir directory;
  const auto path = directory / "group";
  REQUIRE(::mkdir(path.c_str(), 0700) == 0);
  REQUIRE(::mkdir((path + "/below").c_str(), 0700) == 0);
  Fake fake{path};
  fake.group().remove();
  struct stat status{};
  CHECK(::stat(path.c_str(), &status) != 0);
}

TEST_CASE("ControlGroup: this process is in no group of a made-up name") {
  const test::TempDir directory;
  const auto path = directory / "mirakuru-made-up";
  REQUIRE(::mkdir(path.c_str(), 0700) == 0);
  Fake fake{path};
  CHECK_FALSE(fake.group().holds_caller());
  // Its own name ends the line of /proc/self/cgroup.
  auto own = test::slurp("/proc/self/cgroup");
  while (own.ends_with('\n')) own.pop_back();
  fake.cgroup.path = path + '/' + own.substr(own.rfind('/') + 1);
  CHECK(fake.group().holds_caller());
}
