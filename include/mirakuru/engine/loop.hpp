// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <ctime>

#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/wait_set.hpp>

namespace mirakuru::detail {

/// The wait loop of the blocking forms. `AsioLoop` waits in its place where coroutines run.
class PollLoop {
 public:
  /// Waits until a descriptor of `waits` is ready or its moment has come. Rests on ppoll(2).
  void wait(WaitSet& waits) {
    if (waits.wants_no_wait()) return;
    const auto descriptors = waits.descriptors();
    const auto left = std::max(waits.deadline() - Clock::now(), Clock::duration::zero());
    const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
    const timespec limit{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
    ::ppoll(descriptors.data(), descriptors.size(),
            waits.deadline() == TimePoint::max() ? nullptr : &limit, nullptr);
  }
};

/// Runs an operation to its end in the calling thread. An operation is a state machine. Its
/// `resume(now, waits)` goes on as far as it can and returns true at the end. Otherwise it replaces
/// `waits`, the wait that has ended, by the next one. It throws when it has failed.
template <class Operation, class Loop>
void run(Operation&& operation, Loop&& loop) {
  for (WaitSet waits; !operation.resume(Clock::now(), waits);) loop.wait(waits);
}

}  // namespace mirakuru::detail
