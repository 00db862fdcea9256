// SPDX-License-Identifier: BSL-1.0
// A PostgreSQL that is ready-made: postgresql.cpp does the same by hand.
#include <iostream>
#include <mirakuru/services.hpp>

namespace mk = mirakuru;

int main() {
  mk::Postgres db;  // up and ready; initdb runs only the first time

  // Each test may have a copy of a database with the schema. It is dropped with the object.
  const auto schema = db.database();
  schema.psql("create table t as select 7 as x");
  const auto mine = db.database(schema);
  mine.psql("update t set x = 8");

  db.stop().start();  // the data stay
  std::cout << mine.url() << ": " << mine.psql("select x from t");
  return mine.psql("select x from t") + schema.psql("select x from t") == "8\n7\n" ? 0 : 1;
}
