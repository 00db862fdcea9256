// SPDX-License-Identifier: BSL-1.0
// The parts of composed checks, without a process.
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/ready/composed/all_of.hpp>
#include <mirakuru/ready/composed/arms.hpp>

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
