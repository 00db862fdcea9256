// SPDX-License-Identifier: BSL-1.0
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <mirakuru/doctest.hpp>

#include "services.hpp"

TEST_CASE("passes") {
  say(*first, "before");
  CHECK(second->running());
}

TEST_CASE("fails") {
  SUBCASE("in a subcase") {
    say_much(*first);
    auto own = echo("own").start();
    say(own, "mine");
    REQUIRE(1 == 2);
  }
  SUBCASE("not in the next one") { CHECK(first->running()); }
}

TEST_CASE("dies") {
  first->write("die 9\n");
  first->wait(20s);
}

TEST_CASE("passes after the end") { CHECK(second->running()); }

TEST_CASE("crashes") {
  auto service = crashing().start();
  service.write("\n");
  service.wait(20s);
}

TEST_CASE("knows of the end") {
  auto service = echo("own").start();
  service.write("die 7\n");
  service.wait(20s);
  CHECK(service.exit_code() == 7);
}

TEST_CASE("ends badly") { ending_badly().start(); }

TEST_CASE("is slow to end") { resisting().start(); }

TEST_CASE_FIXTURE(Fixture, "has a fixture") { FAIL("it is not reached"); }
