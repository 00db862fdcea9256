// SPDX-License-Identifier: BSL-1.0
// The members of composed checks, without a process.
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/ready/composed/all_of.hpp>
#include <mirakuru/ready/composed/composed.hpp>
#include <mirakuru/ready/composed/within.hpp>
#include <mirakuru/spawn/launch.hpp>

#include "made_up_checks.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::Full;
using test::Plain;

namespace {

constexpr mk::TimePoint epoch{100h};
const mk::OutputStreams no_streams;
const mk::Process process{1, no_streams, true, {.since = epoch}};

}  // namespace

TEST_CASE("Composed: a member is there if one of the checks has it") {
  using None = mk::AllOf<Plain, Plain>;
  using One = mk::AllOf<Plain, Full>;
  static_assert(!mk::detail::AskedBefore<None> && !mk::detail::Prepares<None> &&
                !mk::detail::Quotes<None>);
  static_assert(mk::detail::AskedBefore<One> && mk::detail::Prepares<One> &&
                mk::detail::Quotes<One>);
  const One one{Plain{}, Full{"a"}};
  CHECK(one.describe() == "all of (a predicate, a)");
  CHECK(one.hint(process) == "a's hint");
  CHECK(one.quote(process) == "a's line");
}

TEST_CASE("Composed: each check prepares the command, also within others") {
  const mk::AllOf check{Full{"a"}, mk::Within{1s, mk::AllOf{Full{"b"}, Plain{}}}};
  mk::LaunchRequest request;
  check.prepare(request);
  CHECK(request.env.size() == 2);
  CHECK(request.env.contains("b"));
}
