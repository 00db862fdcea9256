// SPDX-License-Identifier: BSL-1.0
#pragma once

// doctest shows the output of each service in a test that fails. A service that dies fails the test
// in which it does. `mk::test::Service` starts with the first test. Include this in one source file
// or more.

#include <doctest/doctest.h>

#if !defined(DOCTEST_CONFIG_DISABLE)

#include <cstdio>
#include <string>

#include <mirakuru/test/service.hpp>

namespace mirakuru::detail {

class DoctestListener : public ::doctest::IReporter {
 public:
  explicit DoctestListener(const ::doctest::ContextOptions&) {}

  /// Prints a line as a message of the test.
  static bool print(const std::string& line, bool in_test) {
    if (in_test)
      DOCTEST_ADD_MESSAGE_AT(current().m_file.c_str(), current().m_line,
                             ::doctest::String{line.c_str()});
    return in_test;
  }

  void test_case_start(const ::doctest::TestCaseData& data) override {
    registry().begin_run();
    registry().begin_test();
    // After the function of a test its result is settled, so this one takes its place.
    auto& test = const_cast<Test&>(static_cast<const Test&>(data));
    test_ = &test;
    body_ = test.m_test;
    test.m_test = &run;
  }
  void test_case_end(const ::doctest::CurrentTestCaseStats& stats) override {
    if (crashed_) return;
    test_->m_test = body_;
    if (stats.failure_flags != 0)
      if (const auto output = registry().output_of_test(); !output.empty()) print(output, true);
    registry().end_test();
  }
  void test_case_exception(const ::doctest::TestCaseException& exception) override {
    crashed_ = exception.is_crash;
  }
  void test_run_end(const ::doctest::TestRunStats& stats) override {
    if (crashed_) return;
    const auto failures = registry().end_run();
    for (const auto& failure : failures) std::fprintf(stderr, "mirakuru: %s\n", failure.c_str());
    // The exit code comes from this count.
    if (!failures.empty() && stats.numTestCasesFailed == 0)
      const_cast<::doctest::TestRunStats&>(stats).numTestCasesFailed = 1;
  }

  void report_query(const ::doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_case_reenter(const ::doctest::TestCaseData&) override {}
  void subcase_start(const ::doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const ::doctest::AssertData&) override {}
  void log_message(const ::doctest::MessageData&) override {}
  void test_case_skipped(const ::doctest::TestCaseData&) override {}

 private:
  using Test = ::doctest::detail::TestCase;

  static Registry& registry() { return Registry::instance(); }
  static const Test& current() { return *test_; }

  /// Runs a test, unless a service has not started, and looks for those that have died.
  static void run() {
    if (const auto reason = registry().start_failure(); !reason.empty())
      DOCTEST_ADD_FAIL_AT(current().m_file.c_str(), current().m_line,
                          ::doctest::String{reason.c_str()});
    try {
      body_();
    } catch (...) {
      look();
      throw;
    }
    look();
  }
  static void look() {
    for (const auto& failure : registry().take_failures())
      DOCTEST_ADD_FAIL_CHECK_AT(current().m_file.c_str(), current().m_line,
                                ::doctest::String{failure.c_str()});
  }

  static inline Test* test_ = nullptr;
  static inline void (*body_)() = nullptr;
  bool crashed_ = false;  // within a signal handler
};

inline const bool listens_to_doctest = [] {
  Registry::instance().install(&DoctestListener::print);
  return ::doctest::registerReporter<DoctestListener>("mirakuru", 0, false) != 0;
}();

}  // namespace mirakuru::detail

#endif
