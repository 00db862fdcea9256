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

namespace mk = mirakuru;
using namespace std::chrono_literals;

namespace {

constexpr mk::TimePoint epoch{100h};
const mk::OutputStreams no_streams;
const mk::Process process{1, no_streams, true, {.since = epoch}};

struct Plain {
  bool operator()(const mk::Process&) const { return false; }
};
/// All members that a check may have.
struct Full {
  std::string name;
  bool held = false;

  bool operator()(const mk::Process&) const { return false; }
  std::string describe() const { return name; }
  bool already_true() const { return held; }
  std::string describe_conflict() const { return name + " is there"; }
  std::string hint(const mk::Process&) const { return name + "'s hint"; }
  std::string quote(const mk::Process&) const { return name + "'s line"; }
  void prepare(mk::LaunchRequest& request) const { request.env[name] = "1"; }
};

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
