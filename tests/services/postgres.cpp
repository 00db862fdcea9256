// SPDX-License-Identifier: BSL-1.0
#include <sys/types.h>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/services.hpp>

#include "child.hpp"
#include "files.hpp"
#include "postgres.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
namespace fs = std::filesystem;
using namespace std::chrono_literals;
using test::contains;

namespace {

/// True if the process has a file that would stay after SIGKILL. Other servers have theirs.
bool has_file_in_memory(pid_t pid) {
  return contains(test::slurp("/proc/" + std::to_string(pid) + "/maps"), " /dev/shm/");
}

}  // namespace

TEST_CASE("Postgres: it is a server of its own") {
  const auto db = test::postgres();
  const auto other = test::postgres();
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

TEST_CASE("Postgres: the data outlive a stop and a crash") {
  auto db = test::postgres({.settings = {{"synchronous_commit", "on"}}});
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
  auto db = test::postgres();
  if (!db) return;
  mk::Executor client{{test::postgres_programs() / "psql", "-XAt", db->url(), "-c", "\\echo ready",
                       "-c", "select pg_sleep(60)"},
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
    auto db = test::postgres();
    if (!db) return;
    const pid_t pid = db->server().pid();
    const auto directory = db->data().parent_path();
    CHECK(test::alive(pid));
    CHECK(test::has_shared_memory(pid));
    CHECK(contains(test::slurp("/proc/" + std::to_string(pid) + "/maps"), "/postgres"));
    CHECK_FALSE(has_file_in_memory(pid));
    CHECK(fs::exists(db->socket_directory() / (".s.PGSQL." + std::to_string(db->port()))));
    end(*db);
    db.reset();
    CHECK_FALSE(test::alive(pid));
    CHECK_FALSE(test::has_shared_memory(pid));
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
  if (test::postgres_programs().empty()) return;
  const auto& place = test::shared_postgres_cache();
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
      [&] { return !test::alive(pid) && !test::has_shared_memory(pid) && !fs::exists(directory); },
      30s));
}

TEST_CASE("Postgres: it can be moved") {
  auto db = test::postgres();
  if (!db) return;
  mk::Postgres moved{std::move(*db)};
  CHECK(moved.psql("select 1") == "1\n");
  const pid_t pid = moved.server().pid();
  moved = mk::Postgres{};
  CHECK_FALSE(test::alive(pid));
  CHECK(moved.psql("select 2") == "2\n");
}
