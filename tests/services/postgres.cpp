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
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/services.hpp>

#include "child.hpp"
#include "errors.hpp"
#include "files.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
namespace fs = std::filesystem;
using namespace std::chrono_literals;
using test::contains;

namespace {

/// A directory for a cache and for programs, which other users may read.
struct Place {
  test::TempDir directory;
  fs::path cache = directory / "cache";

  Place() {
    ::chmod(directory.path().c_str(), 0755);
    use();
  }
  ~Place() { ::unsetenv("XDG_CACHE_HOME"); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  void use() const { ::setenv("XDG_CACHE_HOME", cache.c_str(), 1); }
  /// The clusters in the cache.
  [[nodiscard]] std::vector<fs::path> clusters() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator{cache / "mirakuru/postgres"})
      if (entry.is_directory()) found.push_back(entry);
    return found;
  }
};

/// The directory of PostgreSQL's programs, the newest; empty, with a message, if it is not
/// installed where Debian has it.
fs::path programs() {
  fs::path newest;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator{"/usr/lib/postgresql", none})
    if (fs::exists(entry.path() / "bin/initdb")) newest = std::max(newest, entry.path() / "bin");
  if (newest.empty()) MESSAGE("skipped: no PostgreSQL");
  return newest;
}

/// Programs with an initdb that counts its runs.
struct Programs {
  fs::path bin, log;

  Programs(const Place& place, const fs::path& real)
      : bin{place.directory / "bin"}, log{place.directory / "log"} {
    fs::create_directory(bin);
    for (const char* const name : {"postgres", "psql"}) fs::create_symlink(real / name, bin / name);
    std::ofstream{log};
    ::chmod(log.c_str(), 0666);
    std::ofstream{bin / "initdb"} << "#!/bin/sh\necho run >> '" << log.native() << "'\nexec '"
                                  << (real / "initdb").native() << "' \"$@\"\n";
    ::chmod((bin / "initdb").c_str(), 0755);
  }
  [[nodiscard]] auto runs() const { return test::slurp(log).size() / 4; }
};

/// The tests that need no new cluster share a cache.
const Place& shared_place() {
  static const Place place;
  place.use();
  return place;
}

/// A server; none, with a message, where PostgreSQL is not installed.
std::optional<mk::Postgres> postgres(const mk::Postgres::Options& options = {}) {
  if (programs().empty()) return {};
  shared_place();
  return mk::Postgres{options};
}

/// True if a shared memory segment was made by the process. Source: proc(5).
bool has_shared_memory(pid_t pid) {
  std::ifstream file{"/proc/sysvipc/shm"};
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    long key, id, mode, size, creator;
    if (std::istringstream{line} >> key >> id >> mode >> size >> creator && creator == pid)
      return true;
  }
  return false;
}

/// True if the process has a file that would stay after SIGKILL. Other servers have theirs.
bool has_file_in_memory(pid_t pid) {
  return contains(test::slurp("/proc/" + std::to_string(pid) + "/maps"), " /dev/shm/");
}

}  // namespace

TEST_CASE("Postgres: it is a server of its own") {
  const auto db = postgres();
  const auto other = postgres();
  if (!db) return;
  CHECK(db->port() != other->port());
  CHECK(db->url() == "postgresql://postgres@127.0.0.1:" + std::to_string(db->port()) + "/postgres");
  CHECK(db->psql("select 1") == "1\n");
  CHECK(db->psql("select 1, 'a b'; select null") == "1|a b\n\n");
  CHECK(db->psql("") == "");
  CHECK(db->psql("create table t as select 1; \\dt") == "public|t|table|postgres\n");
  CHECK(db->psql("-- " + std::string(300'000, 'x') + "\nselect 'long'") == "long\n");
  CHECK(other->psql("select count(*) from pg_tables where tablename = 't'") == "0\n");
  for (const std::string name : {"fsync", "full_page_writes", "synchronous_commit"})
    CHECK(db->psql("show " + name) == "off\n");
  CHECK(db->psql("show server_encoding; show timezone") == "UTF8\nUTC\n");
  // libpq takes its Unix socket, too.
  CHECK(mk::run({"psql", "-h", db->socket_directory(), "-p", db->port(), "-U", "postgres", "-XAtc",
                 "select 2"})
            .output == "2\n");
}

TEST_CASE("Postgres: an error of SQL is thrown with its text, and names the call") {
  const auto db = postgres();
  if (!db) return;
  try {
    db->psql("create table t (x int);\nselect nonsense;\ndrop table t");
    FAIL("there is no error");
  } catch (const mk::ProcessExitedWithError& error) {
    CHECK(error.exit_code() == 3);
    CHECK(contains(error.what(), "psql:<stdin>:2: ERROR:  column \"nonsense\" does not exist"));
    CHECK(contains(error.what(), "postgres.cpp:"));
  }
  CHECK(db->psql("select count(*) from t") == "0\n");  // it ends at the first error
}

TEST_CASE("Postgres: settings and words for initdb replace the defaults") {
  auto db = postgres({.settings = {{"max_connections", "7"},
                                   {"application_name", "it's a \\ 'test'"},
                                   {"fsync", "on"}},
                      .initdb = {"--data-checksums", "-E", "LATIN1"}});
  if (!db) return;
  CHECK(db->psql("show max_connections; show fsync; show data_checksums; show server_encoding") ==
        "7\non\non\nLATIN1\n");
  // A client's own name comes before the server's.
  CHECK(db->psql("select reset_val from pg_settings where name = 'application_name'") == "psql\n");
  CHECK(contains(test::slurp(db->data() / "postgresql.conf"),
                 "application_name = 'it''s a \\\\ ''test'''\n"));
  // ALTER SYSTEM comes before all of them.
  db->psql("alter system set max_connections = 8");
  CHECK(db->stop().start().psql("show max_connections") == "8\n");

  const auto message = test::message_of<mk::ProcessExitedWithError>(
      [] { mk::Postgres({.settings = {{"max_connections", "many"}}}); });
  CHECK(contains(message, "invalid value for parameter \"max_connections\": \"many\""));
  CHECK(contains(message, "postgres.cpp:"));
  // The words are part of the name in the cache.
  CHECK(shared_place().clusters().size() == 2);
}

TEST_CASE("Postgres: a database is a copy of a template, and is dropped") {
  auto db = postgres();
  if (!db) return;
  const auto databases = [&] {
    return db->psql("select count(*) from pg_database where datname like 'mirakuru%'");
  };
  std::optional<mk::Postgres::Database> schema{db->database()};
  schema->psql("create table t as select 7 as x");
  CHECK(schema->url() ==
        "postgresql://postgres@127.0.0.1:" + std::to_string(db->port()) + '/' + schema->name());
  {
    const auto first = db->database(*schema), second = db->database(schema->name());
    CHECK(first.name() != second.name());
    first.psql("delete from t");
    CHECK(first.psql("select count(*) from t") == "0\n");
    CHECK(second.psql("select x from t") == "7\n");
    CHECK(databases() == "3\n");
  }
  CHECK(databases() == "1\n");

  // Moves.
  static_assert(std::is_nothrow_move_constructible_v<mk::Postgres::Database>);
  static_assert(std::is_nothrow_move_assignable_v<mk::Postgres::Database>);
  auto moved = std::move(*schema);
  schema.reset();
  CHECK(moved.psql("select x from t") == "7\n");
  moved = db->database();
  CHECK(databases() == "1\n");

  // A fork leaves it alone.
  CHECK(test::in_child([&] {
          const auto mine = std::move(moved);
          return true;
        }) == 0);
  CHECK(databases() == "1\n");

  CHECK(contains(
      test::message_of<mk::ProcessExitedWithError>([&] { (void)db->database("no \"such\""); }),
      "template database \"no \"such\"\" does not exist"));
  CHECK(databases() == "1\n");
}

TEST_CASE("Postgres: a database is dropped although a client is connected") {
  auto db = postgres();
  if (!db) return;
  std::optional<mk::Postgres::Database> mine{db->database()};
  mk::Executor client{
      {programs() / "psql", "-XAt", mine->url(), "-c", "\\echo ready", "-c", "select pg_sleep(60)"},
      mk::BannerCheck{"^ready$"}};
  client.start();
  REQUIRE(test::eventually(
      [&] {
        return db->psql("select count(*) from pg_stat_activity where datname = '" + mine->name() +
                        "' and query like '%pg_sleep%'") == "1\n";
      },
      10s));
  mine.reset();
  CHECK(db->psql("select count(*) from pg_database where datname like 'mirakuru%'") == "0\n");
  CHECK_THROWS_AS(client.wait(10s).stop(), mk::ProcessExitedWithError);
}

TEST_CASE("Postgres: a database outlives its server, and its end does not throw") {
  auto db = postgres();
  if (!db) return;
  auto first = db->database();
  std::optional<mk::Postgres::Database> second{db->database()};
  db->stop();
  CHECK_THROWS_AS(second->psql("select 1"), mk::ProcessExitedWithError);
  second.reset();
  db->start();
  CHECK(first.psql("select 1") == "1\n");
  db.reset();
  const test::Elapsed elapsed;
  {
    const auto last = std::move(first);
  }
  CHECK(elapsed.time() < 5s);
}

TEST_CASE("Postgres: the data outlive a stop and a crash") {
  auto db = postgres({.settings = {{"synchronous_commit", "on"}}});
  if (!db) return;
  db->psql("create table t as select 7 as x");
  db->server().kill().start();
  CHECK(db->psql("select x from t") == "7\n");
  for (int i = 0; i < 3; ++i) {
    CHECK(db->stop().start().psql("select x from t") == "7\n");
    const pid_t before = db->server().pid();
    db->server().kill();
    CHECK_THROWS_AS(db->psql("select 1"), mk::ProcessExitedWithError);
    db->start();
    CHECK(db->server().pid() != before);
    CHECK(db->psql("select x from t") == "7\n");
    CHECK(contains(db->server().err_output(), "was not properly shut down"));
  }
  db->server().stopped([&] { CHECK_FALSE(db->server().running()); });
  CHECK(db->psql("select x from t") == "7\n");
}

TEST_CASE("Postgres: a stop disconnects the clients") {
  auto db = postgres();
  if (!db) return;
  mk::Executor client{
      {programs() / "psql", "-XAt", db->url(), "-c", "\\echo ready", "-c", "select pg_sleep(60)"},
      mk::BannerCheck{"^ready$"}};
  client.start();
  REQUIRE(test::eventually(
      [&] {
        return db->psql(
                   "select count(*) from pg_stat_activity where query like "
                   "'select pg_sleep%'") == "1\n";
      },
      10s));
  const test::Elapsed elapsed;
  db->stop();
  CHECK(elapsed.time() < 10s);
  CHECK(db->server().exit_code() == 0);
  CHECK(contains(db->server().err_output(), "database system is shut down"));
  CHECK_THROWS_AS(client.wait(10s).stop(), mk::ProcessExitedWithError);
}

TEST_CASE("Postgres: nothing of it is left") {
  const auto check_gone = [&](auto end) {
    auto db = postgres();
    if (!db) return;
    const pid_t pid = db->server().pid();
    const auto directory = db->data().parent_path();
    CHECK(test::alive(pid));
    CHECK(has_shared_memory(pid));
    CHECK(contains(test::slurp("/proc/" + std::to_string(pid) + "/maps"), "/postgres"));
    CHECK_FALSE(has_file_in_memory(pid));
    CHECK(fs::exists(db->socket_directory() / (".s.PGSQL." + std::to_string(db->port()))));
    end(*db);
    db.reset();
    CHECK_FALSE(test::alive(pid));
    CHECK_FALSE(has_shared_memory(pid));
    CHECK_FALSE(fs::exists(directory));
  };
  check_gone([](mk::Postgres&) {});
  check_gone([](mk::Postgres& db) { db.stop(); });
  check_gone([](mk::Postgres& db) { db.server().kill(); });
  check_gone([](mk::Postgres& db) {  // its leader alone
    ::kill(db.server().pid(), SIGKILL);
    CHECK(test::eventually([&] { return !test::alive(db.server().pid()); }, 10s));
  });
}

TEST_CASE("Postgres: nothing of it is left when the test is killed") {
  if (programs().empty()) return;
  const auto& place = shared_place();
  const auto note = place.directory / "note";
  CHECK(test::in_child([&] {
          mk::Postgres db;
          std::ofstream{note} << db.server().pid() << ' ' << db.data().parent_path().native();
          ::raise(SIGKILL);
          return false;
        }) == 128 + SIGKILL);
  pid_t pid = 0;
  std::string directory;
  std::ifstream{note} >> pid >> directory;
  REQUIRE(pid > 0);
  CHECK(test::eventually(
      [&] { return !test::alive(pid) && !has_shared_memory(pid) && !fs::exists(directory); }, 30s));
}

TEST_CASE("Postgres: nothing of initdb is left when the test is killed") {
  if (programs().empty()) return;
  const auto place = shared_place().directory / "temporary";
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
    CHECK(std::none_of(servers.begin(), servers.end(), has_shared_memory));
  }
}

TEST_CASE("Postgres: it can be moved") {
  auto db = postgres();
  if (!db) return;
  mk::Postgres moved{std::move(*db)};
  CHECK(moved.psql("select 1") == "1\n");
  const pid_t pid = moved.server().pid();
  moved = mk::Postgres{};
  CHECK_FALSE(test::alive(pid));
  CHECK(moved.psql("select 2") == "2\n");
}

TEST_CASE("Postgres: the settings of the developer's shell have no effect") {
  if (programs().empty()) return;
  shared_place();
  const std::vector<std::pair<const char*, const char*>> variables{
      {"PGHOST", "192.0.2.1"},  {"PGHOSTADDR", "192.0.2.1"}, {"PGPORT", "1"},
      {"PGUSER", "nobody"},     {"PGDATABASE", "none"},      {"PGDATA", "/nonexistent"},
      {"PGSSLMODE", "require"}, {"PGOPTIONS", "-c fsync"},   {"PGSERVICE", "none"},
      {"LC_ALL", "xx_XX"},      {"TZ", "Asia/Kolkata"}};
  for (const auto& [name, value] : variables) ::setenv(name, value, 1);
  {
    mk::Postgres db;
    CHECK(db.psql("show timezone") == "UTC\n");
    CHECK(db.database().psql("select 1") == "1\n");
  }
  for (const auto& [name, value] : variables) ::unsetenv(name);
}

TEST_CASE("Postgres: it has no socket where $TMPDIR is too long for one") {
  const test::TempDir directory;
  const auto deep = directory / std::string(100, 'x');
  fs::create_directory(deep);
  ::chmod(directory.path().c_str(), 0755);
  ::setenv("TMPDIR", deep.c_str(), 1);
  {
    const auto db = postgres();
    if (db) {
      CHECK(db->socket_directory().empty());
      CHECK(db->psql("select 1") == "1\n");
    }
  }
  ::unsetenv("TMPDIR");
}

TEST_CASE("Postgres: a version that is not installed is an error that says so") {
  const auto message =
      test::message_of<mk::ExecutorError>([] { mk::Postgres({.version = "999"}); });
  CHECK(contains(message, "cannot find PostgreSQL 999"));
  CHECK_THROWS_AS(mk::Postgres({.bin = "/nonexistent"}), mk::SpawnError);
  const auto bin = programs();
  if (bin.empty()) return;
  shared_place();
  const auto version = bin.parent_path().filename().native();
  CHECK(mk::Postgres({.version = version}).psql("show server_version").starts_with(version));
}

TEST_CASE("Postgres: as a plain user") {
  if (programs().empty() || ::geteuid() != 0) return;
  const Place place;
  fs::create_directory(place.cache);
  REQUIRE(::chown(place.cache.c_str(), 65534, 65534) == 0);
  const auto twice = [] {
    bool good = test::become_nobody();
    for (int i = 0; i < 2; ++i) {
      mk::Postgres db;
      good &= db.psql("select 1") == "1\n";
      good &= db.database().psql("select 2") == "2\n";
      struct stat status{};
      good &= ::stat(db.data().c_str(), &status) == 0 && status.st_uid == 65534;
      db.stop().start();
    }
    return good;
  };
  CHECK(test::in_child(twice) == 0);
  CHECK(place.clusters().size() == 1);
}

TEST_CASE("Postgres: initdb runs once for several test programs that come at once") {
  const auto real = programs();
  if (real.empty()) return;
  const Place place;
  const Programs counted{place, real};
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
  const auto real = programs();
  if (real.empty()) return;
  const Place place;
  const Programs counted{place, real};
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
