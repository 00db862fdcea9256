// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>

#include <doctest/doctest.h>

#include <mirakuru/error.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;

TEST_CASE("ExecutorError: it is the base of every error of a process") {
  static_assert(std::is_base_of_v<std::runtime_error, mk::ExecutorError>);
  static_assert(std::is_base_of_v<mk::ExecutorError, mk::AlreadyRunning>);
  static_assert(std::is_base_of_v<mk::ExecutorError, mk::SpawnError>);
  static_assert(std::is_base_of_v<mk::ExecutorError, mk::TimeoutExpired>);
  static_assert(std::is_base_of_v<mk::ExecutorError, mk::ProcessExitedWithError>);
  static_assert(std::is_base_of_v<mk::ProcessExitedWithError, mk::ProcessFinishedWithError>);
  // A handler of one catches no other.
  static_assert(!std::is_base_of_v<mk::SpawnError, mk::AlreadyRunning>);
  static_assert(!std::is_base_of_v<mk::ProcessExitedWithError, mk::TimeoutExpired>);
  static_assert(!std::is_base_of_v<mk::ProcessFinishedWithError, mk::ProcessExitedWithError>);
  // Wrong arguments are an error of the caller, not of the process.
  static_assert(!std::is_base_of_v<std::invalid_argument, mk::ExecutorError>);
  static_assert(!std::is_base_of_v<mk::ExecutorError, std::invalid_argument>);
  // Throwing one of them cannot fail.
  static_assert(std::is_nothrow_copy_constructible_v<mk::ExecutorError>);
  static_assert(std::is_nothrow_copy_constructible_v<mk::SpawnError>);
  static_assert(std::is_nothrow_copy_constructible_v<mk::TimeoutExpired>);
  static_assert(std::is_nothrow_copy_constructible_v<mk::ProcessFinishedWithError>);
}

TEST_CASE("ExecutorError: each error has its message and its value") {
  CHECK(std::string{mk::ExecutorError{"a"}.what()} == "a");
  CHECK(std::string{mk::AlreadyRunning{"b"}.what()} == "b");

  const mk::SpawnError spawn{"c", {EACCES, std::generic_category()}};
  CHECK(std::string{spawn.what()} == "c");
  CHECK(spawn.code() == std::errc::permission_denied);

  const mk::TimeoutExpired timeout{"d", 1500ms};
  CHECK(std::string{timeout.what()} == "d");
  CHECK(timeout.timeout() == 1500ms);

  const mk::ProcessExitedWithError exited{"e", 3};
  CHECK(std::string{exited.what()} == "e");
  CHECK(exited.exit_code() == 3);
  const mk::ProcessFinishedWithError finished{"f", -SIGSEGV};
  CHECK(std::string{finished.what()} == "f");
  CHECK(finished.exit_code() == -SIGSEGV);
}
