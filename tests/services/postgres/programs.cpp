// SPDX-License-Identifier: BSL-1.0
#include <sys/stat.h>
#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/services.hpp>

#include "child.hpp"
#include "errors.hpp"
#include "postgres.hpp"
#include "words.hpp"

namespace mk = mirakuru;
namespace fs = std::filesystem;
using test::contains;

TEST_CASE("Postgres: the settings of the developer's shell have no effect") {
  if (test::postgres_programs().empty()) return;
  test::shared_postgres_cache();
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

TEST_CASE("Postgres: a version that is not installed is an error that says so") {
  const auto message =
      test::message_of<mk::ExecutorError>([] { mk::Postgres({.version = "999"}); });
  CHECK(contains(message, "cannot find PostgreSQL 999"));
  CHECK_THROWS_AS(mk::Postgres({.bin = "/nonexistent"}), mk::SpawnError);
  const auto bin = test::postgres_programs();
  if (bin.empty()) return;
  test::shared_postgres_cache();
  const auto version = bin.parent_path().filename().native();
  CHECK(mk::Postgres({.version = version}).psql("show server_version").starts_with(version));
}

TEST_CASE("Postgres: as a plain user") {
  if (test::postgres_programs().empty() || ::geteuid() != 0) return;
  const test::PostgresCache place;
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
