// SPDX-License-Identifier: BSL-1.0
#include <cstdlib>

#include <gtest/gtest.h>

#include <mirakuru/gtest.hpp>

#include "services.hpp"

// It may use a service from its set-up to its tear-down.
class Environment : public testing::Environment {
  void SetUp() override { say_if_wanted("the environment is set up"); }
  void TearDown() override { say_if_wanted("the environment is torn down"); }
};
static const auto* const environment = testing::AddGlobalTestEnvironment(new Environment);

TEST(Cache, Passes) {
  say(*first, "before");
  EXPECT_TRUE(second->running());
}

TEST(Cache, Fails) {
  say_much(*first);
  auto own = echo("own").start();
  say(own, "mine");
  EXPECT_EQ(1, 2);
}

TEST(Cache, Dies) {
  first->write("die 9\n");
  first->wait(20s);
}

TEST(Cache, PassesAfterTheEnd) { EXPECT_TRUE(second->running()); }

TEST(Cache, Crashes) {
  auto service = crashing().start();
  service.write("\n");
  service.wait(20s);
}

TEST(Cache, KnowsOfTheEnd) {
  auto service = echo("own").start();
  service.write("die 7\n");
  service.wait(20s);
  EXPECT_EQ(service.exit_code(), 7);
}

TEST(Cache, EndsBadly) { ending_badly().start(); }

TEST(Cache, IsSlowToEnd) { resisting().start(); }

// Each child is the program anew, and starts the services that it uses.
TEST(Cache, EndsItself) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(std::_Exit(3), testing::ExitedWithCode(3), "");
}

TEST(Cache, EndsItselfWithAService) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto use = [] {
    say(*first, "in the child");
    first->stop();
    std::_Exit(3);
  };
  EXPECT_EXIT(use(), testing::ExitedWithCode(3), "");
}

class Database : public testing::Test, protected Fixture {};

TEST_F(Database, HasAFixture) { FAIL() << "it is not reached"; }
