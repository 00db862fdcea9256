// SPDX-License-Identifier: BSL-1.0
#include <sys/stat.h>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/services.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "postgres.hpp"
#include "words.hpp"

namespace mk = mirakuru;
namespace fs = std::filesystem;
using test::contains;

TEST_CASE("Postgres: settings and words for initdb replace the defaults") {
  auto db = test::postgres({.settings = {{"max_connections", "7"},
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
  CHECK(contains(message, "settings.cpp:"));
  // The words are part of the name in the cache.
  CHECK(test::shared_postgres_cache().clusters().size() == 2);
}

TEST_CASE("Postgres: it has no socket where $TMPDIR is too long for one") {
  const test::TempDir directory;
  const auto deep = directory / std::string(100, 'x');
  fs::create_directory(deep);
  ::chmod(directory.path().c_str(), 0755);
  ::setenv("TMPDIR", deep.c_str(), 1);
  {
    const auto db = test::postgres();
    if (db) {
      CHECK(db->socket_directory().empty());
      CHECK(db->psql("select 1") == "1\n");
    }
  }
  ::unsetenv("TMPDIR");
}
