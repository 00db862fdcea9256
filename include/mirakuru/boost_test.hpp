// SPDX-License-Identifier: BSL-1.0
#pragma once

// Boost.Test shows the output of each service in a test that fails. A service that dies fails the
// test in which it does. `mk::test::Service` starts with the first test. Include this in one source
// file or more, after the header of Boost.Test of your choice.

#include <boost/test/execution_monitor.hpp>
#include <boost/test/framework.hpp>
#include <boost/test/results_collector.hpp>
#include <boost/test/tree/fixture.hpp>
#include <boost/test/tree/observer.hpp>
#include <boost/test/tree/test_unit.hpp>
#include <boost/test/unit_test_log.hpp>
#include <boost/test/unit_test_parameters.hpp>

#include <functional>
#include <string>
#include <utility>

#include <mirakuru/test/service.hpp>

namespace mirakuru::detail {

namespace boost_test = ::boost::unit_test;

/// A fixture around all other fixtures of a test, or of all tests. Boost.Test counts its failures.
class BoostFixture : public boost_test::test_unit_fixture {
 public:
  BoostFixture(std::function<void()> begin, std::function<void()> end)
      : begin_{std::move(begin)}, end_{std::move(end)} {}

 private:
  void setup() override { begin_(); }
  void teardown() override { end_(); }

  std::function<void()> begin_, end_;
};

class BoostObserver : public boost_test::test_observer {
 public:
  /// Prints a line as a message of the test, if messages are shown.
  static bool print(const std::string& line, bool) {
    namespace config = boost_test::runtime_config;
    const auto level = config::get<boost_test::log_level>(config::btrt_log_level);
    if (level == boost_test::invalid_log_level || level > boost_test::log_messages) return false;
    log(boost_test::log_messages, line);
    return true;
  }

 private:
  static Registry& registry() { return Registry::instance(); }

  // The last at the start, behind the log; the first at the end, before the results.
  int priority() override { return 100; }

  void test_unit_start(const boost_test::test_unit& started) override {
    auto& unit = boost_test::framework::get(started.p_id, boost_test::TUT_ANY);
    if (unit.p_type == boost_test::TUT_CASE)
      put_around(unit, [] { registry().begin_test(); }, [] { end_test(); });
    if (!std::exchange(in_run_, true)) {
      root_ = unit.p_id;
      put_around(unit, [] { begin_run(); }, [] { end_run(); });
    }
  }
  void test_unit_finish(const boost_test::test_unit& finished, unsigned long) override {
    auto& unit = boost_test::framework::get(finished.p_id, boost_test::TUT_ANY);
    const auto remove = [&] { unit.p_fixtures.value.erase(unit.p_fixtures.value.begin()); };
    if (finished.p_id == root_) {
      in_run_ = false;
      remove();
    }
    if (unit.p_type == boost_test::TUT_CASE) remove();
  }

  static void put_around(boost_test::test_unit& unit, std::function<void()> begin,
                         std::function<void()> end) {
    auto& all = unit.p_fixtures.value;
    all.insert(all.begin(), boost_test::test_unit_fixture_ptr{
                                new BoostFixture{std::move(begin), std::move(end)}});
  }

  /// A failed start ends the run, as a failure of a global fixture does.
  static void begin_run() {
    registry().begin_run();
    const auto reason = registry().start_failure();
    if (reason.empty()) return;
    log(boost_test::log_fatal_errors, reason);
    boost_test::framework::assertion_result(boost_test::AR_FAILED);
    boost_test::framework::test_unit_aborted(boost_test::framework::current_test_unit());
    throw ::boost::execution_aborted{};
  }
  static void end_run() {
    for (const auto& failure : registry().end_run()) fail(failure);
  }
  static void end_test() {
    for (const auto& failure : registry().take_failures()) fail(failure);
    const auto& test = boost_test::framework::current_test_unit();
    const auto& results = boost_test::results_collector.results(test.p_id);
    if (results.p_assertions_failed > 0 || results.p_aborted)
      if (const auto output = registry().output_of_test(); !output.empty())
        log(boost_test::log_all_errors, output);
    registry().end_test();
  }

  static void fail(const std::string& text) {
    log(boost_test::log_all_errors, text);
    boost_test::framework::assertion_result(boost_test::AR_FAILED);
  }
  static void log(boost_test::log_level level, const std::string& text) {
    const auto& unit = boost_test::framework::current_test_unit();
    boost_test::unit_test_log << boost_test::log::begin(unit.p_file_name, unit.p_line_num) << level
                              << text << boost_test::log::end();
  }

  bool in_run_ = false;
  boost_test::test_unit_id root_ = boost_test::INV_TEST_UNIT_ID;
};

inline const bool listens_to_boost_test = [] {
  boost_test::framework::register_observer(*new BoostObserver);
  Registry::instance().install(&BoostObserver::print);
  return true;
}();

}  // namespace mirakuru::detail
