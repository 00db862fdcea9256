// SPDX-License-Identifier: BSL-1.0
#include <poll.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/os/file_changes.hpp>

#include "child.hpp"
#include "files.hpp"
#include "words.hpp"

using mirakuru::detail::FileChanges;
using Follower = FileChanges::Follower;

namespace {

/// Makes the file, or writes one more line to it.
void write(const std::string& path) { std::ofstream{path, std::ios::app} << "text\n"; }

bool follow(Follower& follower, const std::string& path, std::uint32_t mask,
            const std::string& name = {}) {
  bool news = false;
  return follower.follow(path, mask, name, news) && news;
}
/// True if something is followed from now on.
bool follow_path(Follower& follower, const std::string& path) {
  bool news = false;
  CHECK(follower.follow_path(path, news));
  return news;
}

bool readable(const Follower& follower) {
  pollfd event{.fd = follower.event(), .events = POLLIN, .revents = 0};
  return ::poll(&event, 1, 0) == 1;
}

/// How many files and directories the kernel watches for this instance.
std::size_t watches(const Follower& follower) {
  return test::count(test::slurp("/proc/self/fdinfo/" + std::to_string(follower.event())),
                     "inotify wd:");
}

}  // namespace

TEST_CASE("FileChanges: each follower gets the events of its own name") {
  const test::TempDir directory;
  FileChanges changes;
  Follower a{&changes}, b{&changes}, any{&changes};
  REQUIRE(follow(a, directory.path(), IN_CREATE, "a"));
  REQUIRE(follow(b, directory.path(), IN_CREATE, "b"));
  REQUIRE(follow(any, directory.path(), IN_CREATE));
  CHECK(a.event() >= 3);
  CHECK(a.event() == b.event());
  CHECK_FALSE(a.drain());

  write(directory / "b");
  CHECK(readable(a));
  CHECK_FALSE(a.drain());
  CHECK_FALSE(readable(a));
  CHECK_FALSE(a.has_news());
  CHECK(b.has_news());
  CHECK(any.has_news());
  CHECK(b.drain());
  CHECK_FALSE(b.has_news());
  CHECK_FALSE(b.drain());
  CHECK(any.drain());

  write(directory / "ab");
  CHECK_FALSE(a.drain());
  CHECK_FALSE(b.drain());
  CHECK(any.drain());

  write(directory / "a");
  CHECK(a.drain());
  CHECK_FALSE(b.drain());
}

TEST_CASE("FileChanges: followers of one file do not take each other's events away") {
  const test::TempDir directory;
  const auto path = directory / "file";
  write(path);
  FileChanges changes;
  Follower first{&changes}, second{&changes};
  REQUIRE(follow(first, path, IN_ATTRIB));
  REQUIRE(follow(second, path, IN_MODIFY));
  ::chmod(path.c_str(), 0600);
  CHECK(first.drain());
  CHECK(second.drain());
  write(path);
  CHECK(second.drain());
}

TEST_CASE("FileChanges: a file that is followed already is no news") {
  const test::TempDir directory;
  FileChanges changes;
  Follower follower{&changes}, other{&changes};
  bool news = false;
  CHECK(follower.follow(directory.path(), IN_CREATE, "a", news));
  CHECK(std::exchange(news, false));
  CHECK(follower.follow(directory.path(), IN_CREATE, "a", news));
  CHECK_FALSE(news);
  CHECK(follower.follow(directory.path(), IN_CREATE, "b", news));
  CHECK(std::exchange(news, false));
  CHECK(other.follow(directory.path(), IN_CREATE, "a", news));
  CHECK(std::exchange(news, false));
  CHECK_FALSE(other.follow(directory / "none", IN_CREATE, "a", news));
  CHECK_FALSE(news);
}

TEST_CASE("FileChanges: a path is followed while it appears part by part") {
  const test::TempDir directory;
  const auto a = directory / "a", b = a + "/b", path = b + "/file";
  FileChanges changes;
  Follower follower{&changes};
  CHECK(follow_path(follower, path));
  CHECK_FALSE(follow_path(follower, path));

  write(directory / "other");
  CHECK_FALSE(follower.drain());
  ::mkdir(a.c_str(), 0700);
  CHECK(follower.drain());
  CHECK(follow_path(follower, path));
  ::mkdir(b.c_str(), 0700);
  CHECK(follower.drain());
  CHECK(follow_path(follower, path));
  write(path);
  CHECK(follower.drain());
  CHECK(follow_path(follower, path));
  CHECK_FALSE(follow_path(follower, path));
  write(path);
  CHECK(follower.drain());

  std::remove(path.c_str());
  CHECK(follower.drain());
  write(path);
  CHECK(follower.drain());
  CHECK(follow_path(follower, path));
  write(path);
  CHECK(follower.drain());
}

TEST_CASE("FileChanges: writes to other files in the same directory wake nobody") {
  const test::TempDir directory;
  const auto path = directory / "file", other = directory / "other";
  write(path);
  write(other);
  FileChanges changes;
  Follower follower{&changes};
  CHECK(follow_path(follower, path));
  write(other);
  CHECK_FALSE(readable(follower));
  write(path);
  CHECK(readable(follower));
}

TEST_CASE("FileChanges: a file that is moved to the path counts") {
  const test::TempDir directory;
  const auto path = directory / "file", draft = directory / "draft";
  FileChanges changes;
  Follower follower{&changes};
  CHECK(follow_path(follower, path));
  write(draft);
  CHECK_FALSE(follower.drain());
  std::rename(draft.c_str(), path.c_str());
  CHECK(follower.drain());
}

TEST_CASE("FileChanges: the target of a symbolic link is followed") {
  const test::TempDir directory;
  const auto link = directory / "link", target = directory / "target";
  bool relative = false;
  SUBCASE("a relative one") { relative = true; }
  SUBCASE("an absolute one") {}
  REQUIRE(::symlink(relative ? "target/file" : (target + "/file").c_str(), link.c_str()) == 0);
  FileChanges changes;
  Follower follower{&changes};
  CHECK(follow_path(follower, link));
  ::mkdir(target.c_str(), 0700);
  CHECK(follower.drain());
  CHECK(follow_path(follower, link));
  write(target + "/file");
  CHECK(follower.drain());
  CHECK(follow_path(follower, link));
  write(target + "/file");
  CHECK(follower.drain());
}

TEST_CASE("FileChanges: a directory on the way may be a link to one that is missing") {
  const test::TempDir directory;
  const auto current = directory / "current", path = current + "/file";
  REQUIRE(::symlink("v1", current.c_str()) == 0);
  FileChanges changes;
  Follower follower{&changes};
  CHECK(follow_path(follower, path));
  ::mkdir((directory / "v1").c_str(), 0700);
  CHECK(follower.drain());
  CHECK(follow_path(follower, path));
  write(directory / "v1/file");
  CHECK(follower.drain());
}

TEST_CASE("FileChanges: links in a circle come to an end") {
  const test::TempDir directory;
  REQUIRE(::symlink("b", (directory / "a").c_str()) == 0);
  REQUIRE(::symlink("a", (directory / "b").c_str()) == 0);
  FileChanges changes;
  Follower follower{&changes};
  CHECK(follow_path(follower, directory / "a"));
  std::remove((directory / "b").c_str());
  write(directory / "b");
  CHECK(follower.drain());
}

TEST_CASE("FileChanges: a follower that is gone gets nothing, and the others go on") {
  const test::TempDir directory;
  FileChanges changes;
  Follower follower{&changes};
  REQUIRE(follow(follower, directory.path(), IN_CREATE, "a"));
  {
    Follower gone{&changes};
    REQUIRE(follow(gone, directory.path(), IN_CREATE, "a"));
  }
  write(directory / "a");
  CHECK(follower.drain());
}

TEST_CASE("FileChanges: drop_unused() drops a watch with its last follower") {
  const test::TempDir directory;
  const auto shared = directory / "shared", single = directory / "single";
  ::mkdir(shared.c_str(), 0700);
  ::mkdir(single.c_str(), 0700);
  FileChanges changes;
  changes.drop_unused();
  Follower follower{&changes};
  REQUIRE(follow(follower, shared, IN_CREATE));
  {
    Follower gone{&changes};
    REQUIRE(follow(gone, shared, IN_CREATE));
    REQUIRE(follow(gone, single, IN_CREATE, "a"));
    REQUIRE(follow(gone, single, IN_CREATE, "b"));
    changes.drop_unused();
    CHECK(watches(follower) == 2);
  }
  CHECK(watches(follower) == 2);
  changes.drop_unused();
  CHECK(watches(follower) == 1);
  CHECK_FALSE(follower.drain());
  write(shared + "/file");
  CHECK(follower.drain());
}

TEST_CASE("FileChanges: a queue that was full is news for all followers") {
  const auto limit = std::atoi(test::slurp("/proc/sys/fs/inotify/max_queued_events").c_str());
  if (limit < 1 || limit > 100000) {
    MESSAGE("skipped: the queue has room for ", limit);
    return;
  }
  const test::TempDir directory;
  const auto quiet = directory / "quiet", a = directory / "a", b = directory / "b";
  for (const auto& path : {quiet, a, b}) write(path);
  FileChanges changes;
  Follower follower{&changes}, busy{&changes};
  REQUIRE(follow(follower, quiet, IN_ATTRIB));
  REQUIRE(follow(busy, a, IN_ATTRIB));
  REQUIRE(follow(busy, b, IN_ATTRIB));
  for (int i = 0; i <= limit / 2; ++i) {  // the kernel merges equal events in a row
    ::chmod(a.c_str(), 0600);
    ::chmod(b.c_str(), 0600);
  }
  while (readable(busy)) CHECK(busy.drain());
  CHECK(follower.drain());
}

TEST_CASE("FileChanges: without an instance nothing is followed") {
  const test::TempDir directory;
  bool news = false;
  SUBCASE("there is none to be had") {
    CHECK(test::in_child([&] {
            FileChanges changes;
            Follower follower{&changes};
            const rlimit none{0, 0};
            return ::setrlimit(RLIMIT_NOFILE, &none) == 0 &&
                   !follower.follow(directory.path(), IN_CREATE, {}, news) &&
                   !follower.follow_path(directory / "file", news) && !news &&
                   follower.event() == -1 && !follower.drain();
          }) == 0);
  }
  SUBCASE("none is given") {
    Follower follower{nullptr};
    CHECK_FALSE(follower.follow(directory.path(), IN_CREATE, {}, news));
    CHECK_FALSE(follower.follow_path(directory / "file", news));
    CHECK_FALSE(news);
    CHECK(follower.event() == -1);
    CHECK_FALSE(follower.has_news());
    CHECK_FALSE(follower.drain());
  }
}

TEST_CASE("FileChanges: a closed instance is opened anew") {
  const test::TempDir directory;
  FileChanges changes;
  Follower follower{&changes};
  CHECK(follower.event() == -1);
  REQUIRE(follow(follower, directory.path(), IN_CREATE));
  changes.close();
  changes.close();
  CHECK(follower.event() == -1);
  CHECK_FALSE(follower.drain());
  REQUIRE(follow(follower, directory.path(), IN_CREATE));
  write(directory / "file");
  CHECK(follower.drain());
}

TEST_CASE("FileChanges: too_many_open() counts the instances that are open") {
  const test::TempDir directory;
  const auto open = [&](FileChanges& changes) {
    Follower follower{&changes};
    REQUIRE(follow(follower, directory.path(), IN_CREATE));
  };
  std::vector<FileChanges> sixteen(16);
  for (auto& changes : sixteen) open(changes);
  CHECK_FALSE(FileChanges::too_many_open());
  std::optional<FileChanges> one_more{std::in_place};
  CHECK_FALSE(FileChanges::too_many_open());
  open(*one_more);
  CHECK(FileChanges::too_many_open());

  auto moved = std::move(*one_more);
  one_more.reset();
  CHECK(FileChanges::too_many_open());
  moved = std::move(sixteen[0]);  // closes its own
  sixteen.erase(sixteen.begin());
  CHECK_FALSE(FileChanges::too_many_open());
  open(one_more.emplace());
  CHECK(FileChanges::too_many_open());
  moved.close();
  CHECK_FALSE(FileChanges::too_many_open());
}
