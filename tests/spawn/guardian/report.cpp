// SPDX-License-Identifier: BSL-1.0
#include <csignal>
#include <set>
#include <type_traits>

#include <doctest/doctest.h>

#include <mirakuru/spawn/guardian/report.hpp>

using mirakuru::detail::Report;

TEST_CASE("Report: a message is plain bytes, of a size that the channel takes as a whole") {
  static_assert(std::is_trivially_copyable_v<Report>);
  // A hundred of them wait in a socket for an owner that does not read.
  CHECK(sizeof(Report) == 256);
  CHECK(sizeof Report{}.text > 240);  // `Straggler::command`, and a zero
}

TEST_CASE("Report: the owner's orders are no signals, and differ") {
  using namespace mirakuru::detail;
  std::set<int> messages{to_leader, pause_tree, resume_tree};
  CHECK(messages.size() == 3);
  for (const int order : messages) CHECK(order > SIGRTMAX);
  // The bit for a group that has the signal changes no signal, and no order looks like one.
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    CHECK(((signal | group_has_it) & ~group_has_it) == signal);
    messages.insert({signal, signal | group_has_it});
  }
  CHECK(messages.size() == 3 + 2 * static_cast<unsigned>(SIGRTMAX));
  CHECK(*messages.rbegin() <= 0xff);
}
