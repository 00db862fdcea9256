// SPDX-License-Identifier: BSL-1.0
#define CATCH_CONFIG_MAIN  // for Catch2 2
#include <mirakuru/catch2.hpp>

#include "services.hpp"

TEST_CASE("passes") {
  say(*first, "before");
  CHECK(second->running());
}

TEST_CASE("fails") {
  SECTION("in a section") {
    say_much(*first);
    auto own = echo("own").start();
    say(own, "mine");
    REQUIRE(1 == 2);
  }
  SECTION("not in the next one") { CHECK(first->running()); }
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

TEST_CASE_METHOD(Fixture, "has a fixture") { FAIL("it is not reached"); }
