// SPDX-License-Identifier: BSL-1.0
#pragma once

// GoogleTest shows the output of each service in a test that fails. A service that dies fails the
// test in which it does. `mk::test::Service` starts with the first test. Include this in one source
// file or more.

#include <gtest/gtest.h>
#include <cstdio>
#include <string>

#include <mirakuru/test/service.hpp>

namespace mirakuru::detail {

class GTestListener : public ::testing::EmptyTestEventListener {
 public:
  /// Prints a line where GoogleTest prints.
  static bool print(const std::string& line, bool) {
    std::printf("%s\n", line.c_str());
    return std::fflush(stdout) == 0;
  }

 private:
  static Registry& registry() { return Registry::instance(); }

  // Before all environments, which may need a service. An exception or a failure here would end the
  // run with "0 tests passed"; so each test tells of it.
  void OnEnvironmentsSetUpStart(const ::testing::UnitTest&) override { registry().begin_run(); }

  void OnTestStart(const ::testing::TestInfo& test) override {
    registry().begin_test();
    const auto reason = registry().start_failure();
    if (!reason.empty()) GTEST_FAIL_AT(test.file(), test.line()) << reason;
  }

  void OnTestEnd(const ::testing::TestInfo& test) override {
    for (const auto& failure : registry().take_failures())
      ADD_FAILURE_AT(test.file(), test.line()) << failure;
    if (test.result()->Failed())
      if (const auto output = registry().output_of_test(); !output.empty()) print(output, true);
    registry().end_test();
  }

  void OnEnvironmentsTearDownEnd(const ::testing::UnitTest&) override {
    for (const auto& failure : registry().end_run()) ADD_FAILURE_AT(nullptr, -1) << failure;
  }
};

/// The child of a "threadsafe" death test is the program anew. It tells listeners nothing, and does
/// set up its environments.
class GTestEnvironment : public ::testing::Environment {
  void SetUp() override { Registry::instance().start_on_use(); }
};

inline const bool listens_to_gtest = [] {
  ::testing::UnitTest::GetInstance()->listeners().Append(new GTestListener);
  ::testing::AddGlobalTestEnvironment(new GTestEnvironment);
  Registry::instance().install(&GTestListener::print);
  return true;
}();

}  // namespace mirakuru::detail
