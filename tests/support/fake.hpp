// SPDX-License-Identifier: BSL-1.0
// A process that a test makes up, and operations that are driven by made-up moments.

#pragma once

#include <sys/types.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/engine/service_calls.hpp>

namespace test {

/// The moment at which each story begins.
inline constexpr mirakuru::TimePoint epoch{std::chrono::hours{100}};

inline std::string in_ms(mirakuru::TimePoint moment) {
  const auto span = moment - epoch;
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(span).count());
}

/// The facts about a made-up tree of processes, and the signals that it has got.
struct FakeTree {
  int event = 100;  // a descriptor that nobody looks at
  std::vector<int> fatal = {SIGKILL};
  std::chrono::milliseconds dies_after = {};  // a fatal signal
  std::string trouble = {};
  std::vector<mirakuru::Straggler> stragglers = {};
  std::function<void()> on_spawn = [] {};
  std::function<void()> on_leaders_signal = [] {};  // for the leader alone

  bool alive = true;
  std::optional<int> exit_code = {};  // of the leader

  mirakuru::TimePoint now = epoch;
  int spawned = 0;
  mirakuru::LaunchRequest request = {};  // the last one
  std::string signals = {};              // "15@0 9@10000", in milliseconds from `epoch`

  void end(int code) {
    alive = false;
    exit_code = code;
  }
  void look() {
    if (now >= dies_at) end(exit_code.value_or(dies_by));
  }
  void signal(int number) {
    signals += (signals.empty() ? "" : " ") + std::to_string(number) + '@' + in_ms(now);
    if (std::count(fatal.begin(), fatal.end(), number) == 0 || now >= dies_at) return;
    dies_at = now + dies_after;
    dies_by = -number;
  }

  mirakuru::TimePoint dies_at = mirakuru::TimePoint::max();
  int dies_by = 0;
};

class FakeHandle {
 public:
  explicit FakeHandle(FakeTree& tree) : tree_{&tree} {}

  pid_t pid() const { return 4711; }
  int event() const { return tree_->event; }
  bool alive() {
    tree_->look();
    return tree_->alive;
  }
  std::optional<int> exit_code() const { return tree_->exit_code; }
  void signal(int number) { tree_->signal(number); }
  void signal_leader(int) { tree_->on_leaders_signal(); }
  const std::vector<mirakuru::Straggler>& stragglers() const { return tree_->stragglers; }
  std::string trouble() const { return tree_->trouble; }

 private:
  FakeTree* tree_;
};

struct FakeSpawner {
  FakeTree* tree;

  FakeHandle spawn(const mirakuru::LaunchRequest& request) const {
    tree->request = request;
    tree->on_spawn();
    ++tree->spawned;
    return FakeHandle{*tree};
  }
};

/// An executor's data, for a made-up tree and a command that never runs.
template <class... Given>
auto fake_service(FakeTree& tree, Given... given) {
  using Set = mirakuru::detail::PolicySet<FakeSpawner, mirakuru::Discard, Given...>;
  return mirakuru::detail::make_service<Set>(
      "fake command",
      boost::hana::tuple<FakeSpawner, Given...>{FakeSpawner{&tree}, std::move(given)...});
}

/// Resumes the operation at each moment that it waits for, until it ends or `until`. Returns the
/// moment of its end, in milliseconds from `epoch`; "waits" if there is none.
template <class Operation>
std::string drive(Operation& operation, FakeTree& tree, mirakuru::WaitSet& waits,
                  mirakuru::TimePoint until = mirakuru::TimePoint::max()) {
  for (int rounds = 0; rounds < 2000; ++rounds) {
    if (operation.resume(tree.now, waits)) return in_ms(tree.now);
    if (waits.wants_no_wait()) continue;
    if (waits.deadline() > until) return "waits";
    REQUIRE(waits.deadline() != mirakuru::TimePoint::max());
    tree.now = std::max(tree.now, waits.deadline());
  }
  return "without end";
}
template <class Operation>
std::string drive(Operation& operation, FakeTree& tree) {
  mirakuru::WaitSet waits;
  return drive(operation, tree, waits);
}

}  // namespace test
