// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/kit/dir_cache.hpp>

#include "child.hpp"
#include "errors.hpp"
#include "files.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr uid_t nobody = 65534;

void write(const fs::path& path, const std::string& text, std::ios::openmode mode = std::ios::out) {
  std::ofstream{path, mode} << text;
}

/// A cache, and a place for directories, of this test alone.
struct Place {
  test::TempDir directory;
  fs::path root = directory.path();

  Place() { ::setenv("XDG_CACHE_HOME", (directory / "cache").c_str(), 1); }
  ~Place() { ::unsetenv("XDG_CACHE_HOME"); }

  /// Fills root/name, and notes in root/log that it was made.
  bool fill(const mk::DirCache& cache, const std::string& name,
            const std::string& user = "") const {
    return cache.fill(root / name, maker(name), user);
  }
  [[nodiscard]] std::function<void()> maker(const std::string& name) const {
    return [this, name] {
      fs::create_directories(root / name / "deep/er");
      write(root / name / "deep/er/file", std::string(100'000, 'x'));
      write(root / name / "empty", "");
      fs::permissions(root / name, fs::perms::owner_all);
      fs::permissions(root / name / "empty", fs::perms::owner_read);
      write(root / "log", "made\n", std::ios::app);
    };
  }
  [[nodiscard]] bool is_right(const std::string& name) const {
    return test::slurp(root / name / "deep/er/file") == std::string(100'000, 'x') &&
           fs::is_empty(root / name / "empty") &&
           fs::status(root / name).permissions() == fs::perms::owner_all &&
           fs::status(root / name / "empty").permissions() == fs::perms::owner_read;
  }
  /// How often it was made.
  [[nodiscard]] std::size_t made() const { return test::slurp(root / "log").size() / 5; }
};

/// Fills from a cache after `spoil(cached)`. Checks that it is made anew, and kept.
template <class Spoil>
void check_made_anew(const std::string& how, Spoil spoil) {
  CAPTURE(how);
  const Place place;
  const mk::DirCache cache{"thing/1"};
  REQUIRE_FALSE(place.fill(cache, "first"));
  spoil(cache.path());
  CHECK_FALSE(place.fill(cache, "second"));
  CHECK(place.is_right("second"));
  CHECK(place.fill(cache, "third"));
  CHECK(place.is_right("third"));
  CHECK(place.made() == 2);
  // Nothing broken stays: the copy and its lock alone.
  const fs::directory_iterator all{cache.path().parent_path()};
  CHECK(std::distance(begin(all), end(all)) == 2);
}

}  // namespace

TEST_CASE("DirCache: a directory is made once, and copied later") {
  const Place place;
  const mk::DirCache cache{"thing/1-ab"};
  CHECK(cache.path() == place.root / "cache/mirakuru/thing/1-ab");
  CHECK_FALSE(place.fill(cache, "first"));
  CHECK(place.is_right("first"));
  CHECK(place.fill(cache, "second"));
  CHECK(place.is_right("second"));
  CHECK(place.fill(mk::DirCache{"thing/1-ab"}, "third"));
  CHECK(place.made() == 1);
  CHECK_FALSE(place.fill(mk::DirCache{"thing/2"}, "fourth"));
  CHECK(fs::status(cache.path()).permissions() == fs::perms::owner_all);

  // A copy is a file of its own.
  write(place.root / "second/deep/er/file", "changed");
  CHECK(place.fill(cache, "fifth"));
  CHECK(place.is_right("fifth"));

  cache.drop();
  CHECK_FALSE(fs::exists(cache.path()));
  CHECK_FALSE(place.fill(cache, "sixth"));
  cache.drop();
  cache.drop();
}

TEST_CASE("DirCache: other sources are another content") {
  const Place place;
  const auto name = [](const std::vector<std::string>& sources) {
    return mk::DirCache{"thing/1", sources}.path().filename().native();
  };
  CHECK(name({}) == "1");
  CHECK(name({"a", "b"}) == "1-ab40d7820d408076");  // FNV-1a of both, each with a zero byte
  const std::set<std::string> names{name({}),         name({""}),          name({"a", "b"}),
                                    name({"b", "a"}), name({"a b"}),       name({"ab"}),
                                    name({"ab", ""}), name({"a", "b", ""})};
  CHECK(names.size() == 8);
}

TEST_CASE("DirCache: a broken copy is made anew") {
  const auto content = [](const fs::path& cached) { return cached / "content"; };
  check_made_anew("a file is missing", [&](const fs::path& cached) {
    REQUIRE(fs::remove(content(cached) / "deep/er/file"));
  });
  check_made_anew("a file is cut", [&](const fs::path& cached) {
    fs::resize_file(content(cached) / "deep/er/file", 4096);
  });
  check_made_anew("there is one file more",
                  [&](const fs::path& cached) { write(content(cached) / "more", "x"); });
  check_made_anew("a file has another mode", [&](const fs::path& cached) {
    fs::permissions(content(cached) / "empty", fs::perms::owner_all);
  });
  check_made_anew("a file is a link", [&](const fs::path& cached) {
    fs::remove(content(cached) / "empty");
    fs::create_symlink("/dev/null", content(cached) / "empty");
  });
  check_made_anew("the list is missing",
                  [&](const fs::path& cached) { REQUIRE(fs::remove(cached / "list")); });
  check_made_anew("all is missing", [&](const fs::path& cached) {
    fs::remove_all(cached);
    fs::create_directory(cached);
  });
  check_made_anew("it is a file", [&](const fs::path& cached) {
    fs::remove_all(cached);
    write(cached, "");
  });
  check_made_anew("others may write to it",
                  [&](const fs::path& cached) { ::chmod(cached.c_str(), 0777); });
  check_made_anew("a file has other bytes", [&](const fs::path& cached) {
    const auto file = content(cached) / "deep/er/file";
    do write(file, "other", std::ios::in | std::ios::out);
    while (fs::last_write_time(file) <= fs::last_write_time(cached / "list"));
  });
  check_made_anew("a killed test has left a broken one, too", [&](const fs::path& cached) {
    fs::copy(cached, cached.native() + ".broken", fs::copy_options::recursive);
    REQUIRE(fs::remove(cached / "list"));
  });
  check_made_anew("a killed test has left a half",
                  [&](const fs::path& cached) { fs::rename(cached, cached.native() + ".new"); });
  if (::geteuid() != 0) return;
  check_made_anew("it is another user's",
                  [&](const fs::path& cached) { CHECK(::chown(cached.c_str(), nobody, 0) == 0); });
  check_made_anew("a file is another user's", [&](const fs::path& cached) {
    CHECK(::chown((content(cached) / "deep/er/file").c_str(), nobody, 0) == 0);
  });
}

TEST_CASE("DirCache: nothing is kept of a directory that cannot be made or copied") {
  const Place place;
  const mk::DirCache cache{"thing"};
  CHECK_THROWS_AS(cache.fill(place.root / "a", [] { throw std::domain_error{"no"}; }),
                  std::domain_error);
  CHECK_FALSE(fs::exists(cache.path()));
  const auto make = [&](const char* name) {
    return [&place, name] {
      place.maker(name)();
      fs::create_symlink("/etc", place.root / name / "link");
    };
  };
  CHECK_FALSE(cache.fill(place.root / "b", make("b")));
  CHECK_FALSE(cache.fill(place.root / "c", make("c")));
  CHECK(place.is_right("c"));
  CHECK_FALSE(fs::exists(cache.path()));
  CHECK_FALSE(fs::exists(cache.path().native() + ".new"));
}

TEST_CASE("DirCache: a copy that cannot be used is kept if no other one can be made") {
  const Place place;
  const mk::DirCache cache{"thing"};
  place.fill(cache, "first");
  const auto fails = [] { throw std::domain_error{"a full disk"}; };
  CHECK_THROWS_AS(cache.fill(place.root / "not/there", fails), std::domain_error);
  CHECK(place.fill(cache, "second"));
}

TEST_CASE("DirCache: a directory that exists is refused, and left alone") {
  const Place place;
  const mk::DirCache cache{"thing"};
  for (const char* const name : {"first", "second"}) {
    fs::create_directory(place.root / name);
    write(place.root / name / "mine", "precious");
    const auto message = test::message_of<std::system_error>([&] { place.fill(cache, name); });
    CHECK(test::contains(message, "File exists"));
    CHECK(test::slurp(place.root / name / "mine") == "precious");
    fs::create_symlink("first", place.root / "link");
    CHECK_THROWS_AS(place.fill(cache, "link"), std::system_error);
    CHECK(fs::remove(place.root / "link"));
    place.fill(cache, "other");  // the next round has a copy
    fs::remove_all(place.root / "other");
  }
}

TEST_CASE("DirCache: it works without a place for a cache") {
  const auto without = [](const char* variable, const std::string& value) {
    const Place place;
    ::unsetenv("XDG_CACHE_HOME");
    const std::string home = std::getenv("HOME") != nullptr ? std::getenv("HOME") : "";
    ::setenv(variable, value.c_str(), 1);
    const mk::DirCache cache{"thing"};
    CHECK(cache.path().empty());
    CHECK_FALSE(place.fill(cache, "first"));
    CHECK_FALSE(place.fill(cache, "second"));
    CHECK(place.is_right("second"));
    cache.drop();
    ::setenv("HOME", home.c_str(), 1);
  };
  const test::TempDir other;
  write(other / "file", "");
  without("XDG_CACHE_HOME", other / "file");
  without("XDG_CACHE_HOME", "/proc/none");
  without("HOME", "/nonexistent");
  without("HOME", "relative");
  fs::create_directories(other / "shared/mirakuru");
  ::chmod((other / "shared/mirakuru").c_str(), 0777);
  without("XDG_CACHE_HOME", other / "shared");
  if (::geteuid() != 0) return;
  fs::create_directory(other / "home");
  REQUIRE(::chown((other / "home").c_str(), nobody, nobody) == 0);
  without("HOME", other / "home");  // as with sudo
  CHECK(fs::is_empty(other / "home"));
}

TEST_CASE("DirCache: $HOME/.cache stands in for $XDG_CACHE_HOME") {
  const Place place;
  ::unsetenv("XDG_CACHE_HOME");
  const std::string home = std::getenv("HOME") != nullptr ? std::getenv("HOME") : "";
  ::setenv("HOME", place.root.c_str(), 1);
  const mode_t mask = ::umask(0);
  CHECK(mk::DirCache{"thing"}.path() == place.root / ".cache/mirakuru/thing");
  ::umask(mask);
  CHECK(fs::status(place.root / ".cache").permissions() == fs::perms::owner_all);
  ::setenv("HOME", home.c_str(), 1);
}

TEST_CASE("DirCache: of several programs one makes it, and the others wait") {
  const Place place;
  std::vector<pid_t> programs;
  for (int i = 0; i < 5; ++i) {
    const pid_t program = ::fork();
    if (program == 0) {
      const auto name = std::to_string(i);
      mk::DirCache{"thing"}.fill(place.root / name, [&] {
        std::this_thread::sleep_for(200ms);
        place.maker(name)();
      });
      ::_exit(place.is_right(name) ? 0 : 1);
    }
    programs.push_back(program);
  }
  for (const pid_t program : programs) {
    int status = -1;
    CHECK(::waitpid(program, &status, 0) == program);
    CHECK(status == 0);
  }
  CHECK(place.made() == 1);
}

TEST_CASE("DirCache: it goes on without a cache if another program has the lock for too long") {
  const Place place;
  const mk::DirCache cache{"thing"};
  const int lock = ::open((cache.path().native() + ".lock").c_str(), O_RDONLY | O_CREAT, 0600);
  REQUIRE(::flock(lock, LOCK_EX) == 0);
  const test::Elapsed elapsed;
  CHECK_FALSE(cache.fill(place.root / "first", place.maker("first"), "", 100ms));
  CHECK(elapsed.time() >= 100ms);
  CHECK_FALSE(fs::exists(cache.path()));
  ::close(lock);
  CHECK_FALSE(place.fill(cache, "second"));
  CHECK(place.fill(cache, "third"));
}

TEST_CASE("DirCache: a copy belongs to the user that is named") {
  const Place place;
  const mk::DirCache cache{"thing"};
  if (::geteuid() != 0) {
    CHECK_THROWS_AS(place.fill(cache, "first", "daemon"), std::system_error);
    return;
  }
  place.fill(cache, "first");
  CHECK(place.fill(cache, "second", "nobody"));
  for (const char* const name : {"second", "second/deep/er", "second/deep/er/file"}) {
    struct stat status{};
    CHECK(::stat((place.root / name).c_str(), &status) == 0);
    CHECK(status.st_uid == nobody);
  }
  CHECK_THROWS_AS(place.fill(cache, "third", "no such user"), std::system_error);
}

TEST_CASE("DirCache: a name that leads out is refused") {
  for (const char* const name : {"", ".", "..", "/etc", "../a", "a/../../b", "a/"})
    CHECK(test::refusal([&] { mk::DirCache{name}; }).starts_with("not a name in the cache: '"));
}
