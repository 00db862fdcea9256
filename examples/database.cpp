#include <gtest/gtest.h>
#include <mirakuru/gtest.hpp>
#include <mirakuru/services.hpp>

mirakuru::test::Service db{"db", [] { return mirakuru::Postgres{}; }};  // for all tests

TEST(Database, KeepsRows) {
  const auto mine = db->database();  // for this test; libpq takes mine.url()
  mine.psql("create table t as select 7 as x");
  EXPECT_EQ(mine.psql("select x from t"), "7\n");
}
