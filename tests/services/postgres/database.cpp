// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <optional>
#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/services.hpp>

#include "child.hpp"
#include "errors.hpp"
#include "postgres.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::contains;

TEST_CASE("Postgres: an error of SQL is thrown with its text, and names the call") {
  const auto db = test::postgres();
  if (!db) return;
  try {
    db->psql("create table t (x int);\nselect nonsense;\ndrop table t");
    FAIL("there is no error");
  } catch (const mk::ProcessExitedWithError& error) {
    CHECK(error.exit_code() == 3);
    CHECK(contains(error.what(), "psql:<stdin>:2: ERROR:  column \"nonsense\" does not exist"));
    CHECK(contains(error.what(), "database.cpp:"));
  }
  CHECK(db->psql("select count(*) from t") == "0\n");  // it ends at the first error
}

TEST_CASE("Postgres: a database is a copy of a template, and is dropped") {
  auto db = test::postgres();
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
  auto db = test::postgres();
  if (!db) return;
  std::optional<mk::Postgres::Database> mine{db->database()};
  mk::Executor client{{test::postgres_programs() / "psql", "-XAt", mine->url(), "-c",
                       "\\echo ready", "-c", "select pg_sleep(60)"},
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
  auto db = test::postgres();
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
