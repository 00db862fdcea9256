// SPDX-License-Identifier: BSL-1.0
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/services/postgres/environment.hpp>

#include "child.hpp"

using mirakuru::detail::postgres_environment;

TEST_CASE("Postgres: its programs get no variable of libpq") {
  CHECK(test::in_child([] {
          ::clearenv();
          ::setenv("PGHOST", "db.example", 1);
          ::setenv("PGOPTIONS", "-c search_path=a=b", 1);
          ::setenv("PG", "", 1);
          ::setenv("APPGHOST", "kept", 1);
          ::setenv("pghost", "kept", 1);
          const auto changes = postgres_environment();
          return changes.size() == 5 && changes.at("PGHOST") == mirakuru::unset &&
                 changes.at("PGOPTIONS") == mirakuru::unset && changes.at("PG") == mirakuru::unset;
        }) == 0);
}

TEST_CASE("Postgres: its programs speak English, in UTC") {
  CHECK(test::in_child([] {
          ::setenv("LC_ALL", "de_DE.UTF-8", 1);
          const auto changes = postgres_environment();
          return changes.at("LC_ALL") == "C" && changes.at("TZ") == "UTC";
        }) == 0);
}

TEST_CASE("Postgres: an environment without variables is fine") {
  CHECK(test::in_child([] {
          ::clearenv();
          return postgres_environment().size() == 2;
        }) == 0);
}
