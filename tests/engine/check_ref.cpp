// SPDX-License-Identifier: BSL-1.0
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/engine/check_ref.hpp>

namespace mk = mirakuru;
using mk::detail::CheckRef;

namespace {

/// A check with all optional members; it counts the calls of its probe.
struct Whole {
  static constexpr bool reads_output = true;
  int* asked;

  bool operator()(const mk::Process&) const { return ++*asked > 1; }
  std::unique_ptr<mk::Probe> precheck() const {
    return std::make_unique<mk::detail::PredicateProbe<const Whole>>(*this, before);
  }
  std::string describe() const { return "the whole"; }
  std::string describe_conflict() const { return "it is taken"; }
  std::string hint(const mk::Process& process) const {
    return "pid " + std::to_string(process.pid());
  }

  mk::OutputStreams none = {};
  mk::Process before{0, none};
};

struct Already {
  bool already;
  bool operator()(const mk::Process&) const { return true; }
  bool already_true() const { return already; }
};

}  // namespace

TEST_CASE("CheckRef: it calls the members of the check") {
  const mk::OutputStreams streams;
  const mk::Process process{42, streams};
  int asked = 0;
  Whole whole{&asked};
  const CheckRef check{whole};
  CHECK(check.reads_output());
  CHECK(check.describe() == "the whole");
  CHECK(check.describe_conflict() == "it is taken");
  CHECK(check.hint(process) == "pid 42");
  const auto probe = check.probe(process);
  REQUIRE(probe);
  CHECK_FALSE(probe->poll({}));
  CHECK(probe->poll({}));
  const auto before = check.precheck();
  REQUIRE(before);
  CHECK(before->poll({}));
  CHECK(asked == 3);
}

TEST_CASE("CheckRef: a member that the check does not have is empty") {
  const mk::OutputStreams streams;
  const mk::Process process{42, streams};
  auto predicate = [](const mk::Process& its) { return its.pid() == 42; };
  const CheckRef check{predicate};
  CHECK_FALSE(check.reads_output());
  CHECK(check.describe().empty());
  CHECK(check.describe_conflict().empty());
  CHECK(check.hint(process).empty());
  CHECK_FALSE(check.precheck());
  CHECK_FALSE(check.already_true());
  CHECK(check.probe(process)->poll({}));
  CHECK(CheckRef{}.describe().empty());
  CHECK(CheckRef{}.hint(process).empty());
}

TEST_CASE("CheckRef: a check without a probe before the start tells by itself") {
  Already yes{true}, no{false};
  CHECK(CheckRef{yes}.already_true());
  CHECK_FALSE(CheckRef{no}.already_true());
  CHECK_FALSE(CheckRef{yes}.precheck());
}
