// SPDX-License-Identifier: BSL-1.0
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/services.hpp>

#include "postgres.hpp"
#include "process.hpp"
#include "time.hpp"

namespace mk = mirakuru;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

TEST_CASE("Postgres: nothing of initdb is left when the test is killed") {
  if (test::postgres_programs().empty()) return;
  const auto place = test::shared_postgres_cache().directory / "temporary";
  fs::create_directory(place);
  ::chmod(place.c_str(), 0755);
  for (const auto moment : {0ms, 150ms, 300ms, 450ms}) {
    CAPTURE(moment.count());
    ::setenv("TMPDIR", place.c_str(), 1);
    const pid_t test = ::fork();
    if (test == 0) {
      const mk::Postgres db{{.cache = false}};
      ::_exit(0);
    }
    ::unsetenv("TMPDIR");
    // The servers that initdb itself runs: a minus tells that they are not for clients.
    std::set<pid_t> servers;
    std::optional<test::Elapsed> elapsed;
    CHECK(test::eventually(
        [&] {
          pid_t pid = 0;
          std::error_code none;
          for (const auto& directory : fs::directory_iterator{place})
            for (const auto& data : fs::directory_iterator{directory, none})
              if (std::ifstream{data.path() / "postmaster.pid"} >> pid) servers.insert(-pid);
          if (!elapsed && !servers.empty()) elapsed.emplace();
          return elapsed && elapsed->time() >= moment;
        },
        30s));
    ::kill(test, SIGKILL);
    ::waitpid(test, nullptr, 0);
    CHECK(test::eventually([&] { return fs::is_empty(place); }, 30s));
    CHECK(std::none_of(servers.begin(), servers.end(), test::has_shared_memory));
  }
}

TEST_CASE("Postgres: initdb runs once for several test programs that come at once") {
  const auto real = test::postgres_programs();
  if (real.empty()) return;
  const test::PostgresCache place;
  const test::CountedPrograms counted{place, real};
  std::vector<pid_t> tests;
  for (int i = 0; i < 3; ++i) {
    const pid_t test = ::fork();
    if (test == 0) {
      int status = 1;
      try {
        mk::Postgres db{{.bin = counted.bin}};
        status = db.psql("select 1") == "1\n" ? 0 : 2;
      } catch (const std::exception& error) {
        std::fprintf(stderr, "in the child: %s\n", error.what());
      }
      ::_exit(status);
    }
    tests.push_back(test);
  }
  for (const pid_t test : tests) {
    int status = -1;
    CHECK(::waitpid(test, &status, 0) == test);
    CHECK(status == 0);
  }
  CHECK(counted.runs() == 1);
  CHECK(place.clusters().size() == 1);

  // Without the cache it runs again, and nothing more is kept.
  CHECK(mk::Postgres({.bin = counted.bin, .cache = false}).psql("select 1") == "1\n");
  CHECK(counted.runs() == 2);
  CHECK(place.clusters().size() == 1);
}

TEST_CASE("Postgres: a broken cache is made anew") {
  const auto real = test::postgres_programs();
  if (real.empty()) return;
  const test::PostgresCache place;
  const test::CountedPrograms counted{place, real};
  const auto starts = [&] { return mk::Postgres({.bin = counted.bin}).psql("select 1") == "1\n"; };
  CHECK(starts());
  CHECK(starts());
  REQUIRE(counted.runs() == 1);
  const auto content = place.clusters().at(0) / "content";

  // It can be told from the files.
  REQUIRE(fs::remove(content / "global/pg_control"));
  CHECK(starts());
  CHECK(counted.runs() == 2);

  // It is told by the start alone.
  const auto control = content / "global/pg_control";
  const auto size = fs::file_size(control);
  fs::resize_file(control, 0);
  fs::resize_file(control, size);
  CHECK(starts());
  CHECK(counted.runs() == 3);
  CHECK(starts());
  CHECK(counted.runs() == 3);
}
