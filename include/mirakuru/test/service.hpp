// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <functional>
#include <optional>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

#include <mirakuru/test/registry.hpp>

namespace mirakuru::test {

/// A service for all tests of a program, at namespace scope. It starts with the first test that
/// runs, never while tests are listed, and ends after the last:
///
///     mk::test::Service redis{"redis", mk::Executor{"redis-server --port 6380", ...}};
///     mk::test::Service web{"web", [] { return mk::Executor{...}; }};  // made at the start
///
/// Several start in the order of definition, and end in reverse order. A service that is used in
/// the function of another one starts before it. Needs the header of a test framework in one source
/// file: <mirakuru/gtest.hpp>, <mirakuru/catch2.hpp>, <mirakuru/doctest.hpp> or
/// <mirakuru/boost_test.hpp>.
///
/// `Made`: an executor, or another type with `start()` and `stop()`. At the end of a test no other
/// thread may use the executor of a service that has died.
template <class Made>
class Service final : detail::ServiceOfTests {
 public:
  /// `name` stands before its lines, and in messages. The place of the definition is named as the
  /// place of the start.
  Service(std::string name, Made made, std::source_location where = std::source_location::current())
      : ServiceOfTests{std::move(name), is_one}, made_{std::move(made)}, where_{where} {}
  /// `make()` returns the executor; it is called before each start.
  template <std::invocable Make>
  Service(std::string name, Make make, std::source_location where = std::source_location::current())
      : ServiceOfTests{std::move(name), is_one}, make_{std::move(make)}, where_{where} {}

  /// The executor. Throws `ExecutorError` before the first test has begun, and if the service has
  /// not started.
  Made& operator*() {
    ensure_started();
    return *made_;
  }
  Made* operator->() { return &**this; }

  using detail::ServiceOfTests::name;

 private:
  static constexpr bool is_one = requires(const Made& made) { made.command(); };

  void start_now() override {
    if (make_) made_.emplace(make_());
    if constexpr (requires { made_->start(where_); })
      made_->start(where_);
    else
      made_->start();
  }
  void stop_now() override { made_->stop(); }

  std::optional<Made> made_ = {};
  std::function<Made()> make_ = {};
  std::source_location where_;
};

template <std::invocable Make>
Service(std::string, Make) -> Service<std::invoke_result_t<Make>>;

}  // namespace mirakuru::test
