// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE services
#include <boost/test/unit_test.hpp>

#include <mirakuru/boost_test.hpp>

#include "services.hpp"

// It may use a service from its begin to its end.
struct GlobalFixture {
  void setup() { say_if_wanted("the fixture is set up"); }
  void teardown() { say_if_wanted("the fixture is torn down"); }
};
BOOST_TEST_GLOBAL_FIXTURE(GlobalFixture);

BOOST_AUTO_TEST_CASE(passes) {
  say(*first, "before");
  BOOST_TEST(second->running());
}

BOOST_AUTO_TEST_CASE(fails) {
  say_much(*first);
  auto own = echo("own").start();
  say(own, "mine");
  BOOST_TEST(1 == 2);
}

BOOST_AUTO_TEST_CASE(dies) {
  first->write("die 9\n");
  first->wait(20s);
}

BOOST_AUTO_TEST_CASE(passes_after_the_end) { BOOST_TEST(second->running()); }

BOOST_AUTO_TEST_CASE(crashes) {
  auto service = crashing().start();
  service.write("\n");
  service.wait(20s);
}

BOOST_AUTO_TEST_CASE(knows_of_the_end) {
  auto service = echo("own").start();
  service.write("die 7\n");
  service.wait(20s);
  BOOST_TEST(*service.exit_code() == 7);
}

BOOST_AUTO_TEST_CASE(ends_badly) { ending_badly().start(); }

BOOST_AUTO_TEST_CASE(is_slow_to_end) { resisting().start(); }

BOOST_FIXTURE_TEST_CASE(has_a_fixture, Fixture) { BOOST_FAIL("it is not reached"); }
