// SPDX-License-Identifier: BSL-1.0
// The parts of composed checks, without a process.
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/ready/composed/all_of.hpp>
#include <mirakuru/ready/composed/arms.hpp>

#include "made_up_checks.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::Full;
using test::Plain;

namespace {

constexpr mk::TimePoint epoch{100h};

}  // namespace

TEST_CASE("ArmsPrecheck: the check that holds before the start gives the reason") {
  const mk::AllOf check{Plain{}, Full{"a"}, Full{"b", true}};
  const auto probe = check.precheck();
  CHECK(probe->poll(epoch));
  CHECK(check.describe_conflict() == "b is there");

  const mk::AllOf free{Plain{}, Full{"a"}};
  const auto other = free.precheck();
  CHECK_FALSE(other->poll(epoch));
  CHECK_FALSE(other->pending());
}

TEST_CASE("conflict_of: a check without words of its own is named") {
  Plain plain;
  CHECK(mk::detail::conflict_of(plain) == "a predicate holds before the start");
  Full full{"a"};
  CHECK(mk::detail::conflict_of(full) == "a is there");
  CHECK(mk::detail::make_precheck(plain) == nullptr);
}
