// SPDX-License-Identifier: BSL-1.0
#include <cstdint>

#include <doctest/doctest.h>

#include <mirakuru/spawn/guardian/lease_state.hpp>

using mirakuru::detail::LeaseState;
using Verdict = LeaseState::Verdict;

namespace {

constexpr std::int64_t span = 1000;

LeaseState ready_state() {
  LeaseState state{span};
  state.ready();
  return state;
}

}  // namespace

TEST_CASE("LeaseState: newcomers are accepted from ready() on") {
  LeaseState state{span};
  CHECK_FALSE(state.accepts());
  CHECK(state.judge(10) == Verdict::live);
  state.ready();
  CHECK(state.accepts());
  CHECK(state.judge(20) == Verdict::live);
  CHECK(state.pause(20) == INT64_MAX);
}

TEST_CASE("LeaseState: a starter that leaves during the start has the tree killed, once") {
  LeaseState state{span};
  state.left(true, 5);
  CHECK(state.judge(5) == Verdict::kill);
  CHECK(state.judge(6) == Verdict::live);
  CHECK(state.judge(5 + 2 * span) == Verdict::live);
  state.ready();  // said too late
  CHECK_FALSE(state.accepts());
}

TEST_CASE("LeaseState: the linger time begins when the last lease ends") {
  auto state = ready_state();
  state.joined();
  state.left(true, 100);
  CHECK(state.judge(5000) == Verdict::live);
  CHECK(state.pause(5000) == INT64_MAX);
  state.left(false, 5000);
  CHECK(state.pause(5000) == span);
  CHECK(state.pause(5400) == span - 400);
  CHECK(state.judge(5999) == Verdict::live);
  CHECK(state.accepts());
  CHECK(state.judge(6000) == Verdict::end);
  CHECK_FALSE(state.accepts());
  CHECK(state.judge(7000) == Verdict::live);
  CHECK(state.pause(7000) == INT64_MAX);
}

TEST_CASE("LeaseState: a newcomer within the linger time cancels the end") {
  auto state = ready_state();
  state.left(true, 100);
  state.joined();
  CHECK(state.judge(100 + 2 * span) == Verdict::live);
  state.left(false, 9000);
  CHECK(state.judge(9000 + span - 1) == Verdict::live);
  CHECK(state.judge(9000 + span) == Verdict::end);
}

TEST_CASE("LeaseState: without a linger time the tree ends with the last lease") {
  LeaseState state{0};
  state.ready();
  CHECK(state.judge(50) == Verdict::live);
  state.left(true, 50);
  CHECK(state.pause(50) == 0);
  CHECK(state.judge(50) == Verdict::end);
}

TEST_CASE(
    "LeaseState: a leader that fails ends the rest of the tree, one that ends well does not") {
  auto state = ready_state();
  state.leader_ended(0);
  CHECK(state.judge(10) == Verdict::live);
  CHECK(state.accepts());
  state.leader_ended(-9);
  CHECK(state.judge(11) == Verdict::end);
  CHECK_FALSE(state.accepts());

  LeaseState starting{span};  // the starter sees it, and ends the tree with an error
  starting.leader_ended(3);
  CHECK(starting.judge(12) == Verdict::live);
  starting.ready();  // it has not seen it
  CHECK(starting.judge(13) == Verdict::end);
  CHECK_FALSE(starting.accepts());
}

TEST_CASE("LeaseState: its places are limited, and one that ends makes room") {
  auto state = ready_state();
  for (int i = 1; i < LeaseState::most; ++i) {
    REQUIRE(state.accepts());
    state.joined();
  }
  CHECK_FALSE(state.accepts());
  state.left(false, 10);
  CHECK(state.accepts());
}
