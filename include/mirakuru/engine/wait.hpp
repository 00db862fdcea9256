// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/engine/service.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/wait_set.hpp>

namespace mirakuru::detail {

/// The operation of `wait()`: waits until the leader has ended by itself.
template <class Set>
class WaitOperation {
 public:
  WaitOperation(Service<Set>& service, TimePoint begin) : service_{service}, begin_{begin} {}

  /// Returns true when the leader has ended, or was not running; otherwise `waits` has the next
  /// wait.
  bool resume(TimePoint now, WaitSet& waits) {
    waits.clear();
    if (!service_.alive() || service_.exit_code) return true;
    const int event = service_.process->event();
    waits.add(event);
    // Also once a second: somebody may have stopped the guardian, which brings the news.
    waits.until(after(now, event < 0 ? pause_after(now - begin_) : std::chrono::seconds{1}));
    return false;
  }

 private:
  Service<Set>& service_;
  TimePoint begin_;
};

}  // namespace mirakuru::detail
