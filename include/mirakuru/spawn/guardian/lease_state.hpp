// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

namespace mirakuru::detail {

/// Decides how long a shared tree lives. It knows no socket and no clock: it is told facts.
///
///     starting -> ready -> ending
///         |                  ^
///         +------------------+
///
/// starting: the starter waits until the service is ready; newcomers wait in the listener's queue.
/// ready: newcomers get a lease. Without a lease the tree lives for the linger time.
/// ending: newcomers wait in the queue, until the guardian's exit tells them to start anew.
class [[gnu::visibility("hidden")]] LeaseState {
 public:
  enum class Verdict {
    live,
    end,  ///< end the tree as after an owner's death
    kill  ///< kill it: it is half started, and nobody waits for it
  };
  static constexpr int most = 4096;

  /// `linger` in nanoseconds. The starter has the first lease.
  explicit LeaseState(std::int64_t linger) : linger_{linger} {}

  /// The starter has seen that the service is ready.
  void ready() {
    if (stage_ != Stage::starting) return;
    stage_ = Stage::ready;
    if (leader_failed_) decide(Verdict::end);
  }
  void joined() {
    ++count_;
    empty_since_ = 0;
  }
  /// A lease has ended at `now`.
  void left(bool is_starter, std::int64_t now) {
    --count_;
    if (count_ == 0) empty_since_ = now;
    if (is_starter && stage_ == Stage::starting) decide(Verdict::kill);
  }
  /// The rest of a tree whose leader has failed keeps no newcomer waiting. During the start it is
  /// the starter that ends it, unless that one has not seen it.
  void leader_ended(int exit_code) {
    leader_failed_ = exit_code != 0;
    if (leader_failed_ && stage_ == Stage::ready) decide(Verdict::end);
  }

  /// True while newcomers get a lease.
  [[nodiscard]] bool accepts() const { return stage_ == Stage::ready && count_ < most; }
  /// The time from `now` to the next decision without news; `INT64_MAX` for none.
  [[nodiscard]] std::int64_t pause(std::int64_t now) const {
    if (stage_ != Stage::ready || count_ > 0) return INT64_MAX;
    const auto waited = now - empty_since_;
    return waited < linger_ ? linger_ - waited : 0;
  }
  /// The decision at `now`: `end` and `kill` come once.
  [[nodiscard]] Verdict judge(std::int64_t now) {
    if (pause(now) == 0) decide(Verdict::end);
    const auto verdict = verdict_;
    verdict_ = Verdict::live;
    return verdict;
  }

 private:
  enum class Stage { starting, ready, ending };

  void decide(Verdict verdict) {
    stage_ = Stage::ending;
    verdict_ = verdict;
  }

  Stage stage_ = Stage::starting;
  Verdict verdict_ = Verdict::live;  // not told yet
  std::int64_t linger_;
  std::int64_t empty_since_ = 0;
  int count_ = 1;
  bool leader_failed_ = false;
};

}  // namespace mirakuru::detail
