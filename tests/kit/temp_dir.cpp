// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/kit/temp_dir.hpp>

#include "child.hpp"
#include "files.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

/// A place for temporary directories that this test alone uses.
struct Place {
  test::TempDir directory;
  Place() { ::setenv("TMPDIR", directory.path().c_str(), 1); }
  ~Place() { ::unsetenv("TMPDIR"); }
  /// The number of directories in it.
  [[nodiscard]] std::ptrdiff_t entries() const {
    const fs::directory_iterator all{directory.path()};
    return std::count_if(begin(all), end(all),
                         [](const auto& entry) { return entry.is_directory(); });
  }
};

/// Runs `body` in a child that is then killed.
template <class Body>
void in_killed_child(Body body) {
  CHECK(test::in_child([&] {
          auto kept = body();
          ::raise(SIGKILL);
          return kept.has_value();
        }) == 128 + SIGKILL);
}

/// This process has looked for left-over ones already.
void make_one_in_next_process() {
  CHECK(test::in_child([] {
          std::string program = "/proc/self/exe";
          ::setenv("MIRAKURU_TEST_MAKE_DIR", "1", 1);
          ::execl(program.c_str(), program.c_str(), "-tc=makes a directory", nullptr);
          return false;
        }) == 0);
}

}  // namespace

TEST_CASE("TempDir: it is private, has a name, and goes with all that is in it") {
  const Place place;
  fs::path path;
  {
    const mk::TempDir directory{"pg"};
    path = directory;
    CHECK(path.is_absolute());
    CHECK(path.filename().native().starts_with("mirakuru-pg-"));
    struct stat status{};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0700);
    CHECK(directory.write("a/b/file", "text\n") == directory / "a/b/file");
    CHECK(test::slurp(directory / "a/b/file") == "text\n");
    std::ostringstream printed;
    printed << directory;
    CHECK(printed.str() == path.native());
    CHECK(mk::Word{directory}.str() == path.native());
    fs::create_symlink("/etc", path / "link");
    fs::permissions(path / "a/b", fs::perms::none);
  }
  CHECK_FALSE(fs::exists(path));
  CHECK(fs::exists("/etc"));
  CHECK_THROWS_AS(mk::TempDir{"a/b"}, std::invalid_argument);
  CHECK(fs::is_empty(place.directory.path()));
  const mk::TempDir directory;
  CHECK_THROWS_AS(directory.write("/tmp/outside", ""), std::invalid_argument);
  CHECK_THROWS_AS(directory.write("a/../../outside", ""), std::invalid_argument);
  CHECK_THROWS_AS(directory.write("", ""), std::invalid_argument);
}

TEST_CASE("TempDir: it takes no link's target along") {
  const Place place;
  const test::TempDir outside;
  std::ofstream{outside / "file"} << "text";
  {
    const mk::TempDir directory;
    fs::create_directory_symlink(outside.path(), directory / "directory");
    fs::create_symlink(outside / "file", directory / "file");
    fs::create_hard_link(outside / "file", directory / "hard");
  }
  CHECK(test::slurp(outside / "file") == "text");
  CHECK(place.entries() == 0);
}

TEST_CASE("TempDir: one that is kept stays") {
  const Place place;
  fs::path path;
  {
    mk::TempDir directory;
    path = directory;
    directory.keep();
  }
  CHECK(fs::exists(path));
  {
    const mk::TempDir other;
  }
  CHECK(place.entries() == 1);
}

TEST_CASE("TempDir: it can be moved, and a fork does not remove it") {
  const Place place;
  mk::TempDir first{"one"};
  const fs::path path = first;
  {
    mk::TempDir second{std::move(first)};
    CHECK(second.path() == path);
    CHECK(test::in_child([&] {
            const mk::TempDir moved{std::move(second)};
            return true;
          }) == 0);
    CHECK(fs::exists(path));
    first = std::move(second);
  }
  CHECK(fs::exists(path));
  first = mk::TempDir{"two"};
  CHECK_FALSE(fs::exists(path));
  CHECK(place.entries() == 1);
}

TEST_CASE("TempDir: the guardian removes it when the test is killed") {
  const Place place;
  in_killed_child([&] {
    const mk::TempDir* const directory = new mk::TempDir{"service"};
    static std::optional<mk::SimpleExecutor> service;
    service.emplace(mk::Command{.argv = "while :; do date > file-$$; done",
                                .cwd = *directory,
                                .scratch = *directory,
                                .shell = true});
    service->start();
    return test::eventually([&] { return !fs::is_empty(*directory); }, 20s) ? std::optional{1}
                                                                            : std::nullopt;
  });
  CHECK(test::eventually([&] { return place.entries() == 0; }, 20s));
}

TEST_CASE("TempDir: one that is kept after the start stays, whatever its service does") {
  const Place place;
  const auto mark = test::mark();
  in_killed_child([&] {
    auto* const directory = new mk::TempDir{"service"};
    static std::optional<mk::OutputExecutor> service;
    service.emplace(mk::Command{.argv = "chmod 700 .; echo ready; exec " +
                                        test::line(test::helper("sleep", "60000", mark)),
                                .cwd = *directory,
                                .scratch = *directory,
                                .shell = true},
                    mk::BannerCheck{"ready"});
    service->start();
    directory->keep();
    return std::optional{service->pid()};
  });
  CHECK(test::eventually([&] { return test::processes_matching(mark) == 0; }, 20s));
  CHECK(place.entries() == 1);
}

TEST_CASE("TempDir: the last of several guardians removes it, and none follows a link") {
  const Place place;
  const test::TempDir outside;
  std::ofstream{outside / "file"} << "text";
  in_killed_child([&] {
    const mk::TempDir* const directory = new mk::TempDir{"shared"};
    directory->write("file", "text");
    static std::optional<mk::SimpleExecutor> quick;
    static std::optional<mk::OutputExecutor> slow;
    quick.emplace(mk::Command{.argv = "sleep 300", .scratch = *directory});
    slow.emplace(mk::Command{.argv = "trap 'sleep 0.3; cat file > " + (outside / "seen") +
                                     "; exit' TERM; echo up; while :; do sleep 0.01; done",
                             .cwd = *directory,
                             .scratch = *directory,
                             .shell = true},
                 mk::BannerCheck{"up"});
    quick->start();
    slow->start();
    return std::optional{1};
  });
  CHECK(test::eventually([&] { return place.entries() == 0; }, 20s));
  CHECK(test::slurp(outside / "seen") == "text");
  const auto link = place.directory.path() + "/link";
  fs::create_directory_symlink(outside.path(), link);
  CHECK_THROWS_AS(mk::SimpleExecutor(mk::Command{.argv = "true", .scratch = link}).start(),
                  mk::SpawnError);
  CHECK(test::slurp(outside / "file") == "text");
}

TEST_CASE("TempDir: without a guardian the next one of the same user removes it") {
  const Place place;
  in_killed_child([] { return std::optional{mk::TempDir{"first"}}; });
  CHECK(place.entries() == 1);
  const mk::TempDir used{"used"};
  fs::create_directory(place.directory.path() + "/mirakuru-mine");
  fs::permissions(place.directory.path() + "/mirakuru-mine", fs::perms::owner_all);
  make_one_in_next_process();
  CHECK(place.entries() == 2);  // the one in use, and the user's own
}

TEST_CASE("makes a directory" * doctest::skip(std::getenv("MIRAKURU_TEST_MAKE_DIR") == nullptr)) {
  const mk::TempDir directory{"next"};
  CHECK(fs::exists(directory));
}

TEST_CASE("TempDir: MIRAKURU_KEEP keeps all") {
  const Place place;
  ::setenv("MIRAKURU_KEEP", "1", 1);
  {
    const mk::TempDir directory;
  }
  ::unsetenv("MIRAKURU_KEEP");
  CHECK(place.entries() == 1);
}

TEST_CASE("TempDir: one that is just being made is not left over for others") {
  const Place place;
  std::atomic<bool> done = false;
  std::thread other{[&] {
    while (!done)
      for (const auto& entry : fs::directory_iterator{place.directory.path()}) {
        const auto& path = entry.path().native();
        const int lock = path.ends_with(".lock") ? ::open(path.c_str(), O_RDONLY) : -1;
        if (lock < 0) continue;
        if (::flock(lock, LOCK_EX | LOCK_NB) == 0) {
          ::rmdir(path.substr(0, path.size() - 5).c_str());
          ::unlink(path.c_str());
        }
        ::close(lock);
      }
  }};
  int lost = 0;
  const test::Elapsed elapsed;  // the other one may have to let go of many locks first
  for (int i = 0; i < 3000 && elapsed < 10s; ++i) {
    const mk::TempDir directory;
    lost += !fs::is_directory(directory.path()) || !fs::exists(directory.path().native() + ".lock");
  }
  done = true;
  other.join();
  CHECK(lost == 0);
}

TEST_CASE("TempDir: a kill at any moment leaves none that stays") {
  const Place place;
  for (int i = 0; i < 200; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int n = 0; n < 100'000; ++n) const mk::TempDir directory;
      ::_exit(0);
    }
    std::this_thread::sleep_for(std::chrono::microseconds{500 + i * 7});
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  make_one_in_next_process();
  CHECK(fs::is_empty(place.directory.path()));
}
