// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>
#include <memory>
#include <utility>

#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/wait_set.hpp>

namespace mirakuru::detail {

/// An operation whose type is forgotten; engine/loop.hpp says what an operation is.
class Task {
 public:
  virtual ~Task() = default;

  /// Returns true at the end; otherwise `waits` has the next wait. Throws when it has failed.
  virtual bool resume(TimePoint now, WaitSet& waits) = 0;
  /// A start or a wait fails with `error`, from the next resume() on; a stop goes over to SIGKILL.
  virtual void cancel(std::exception_ptr error) = 0;
};

/// The task of an operation, which is made in its place.
template <class Operation>
class TaskOf final : public Task {
 public:
  template <class... Arguments>
  explicit TaskOf(Arguments&&... arguments) : operation_{std::forward<Arguments>(arguments)...} {}

  bool resume(TimePoint now, WaitSet& waits) override { return operation_.resume(now, waits); }
  void cancel(std::exception_ptr error) override {
    if constexpr (requires { operation_.hurry(Clock::now()); })
      operation_.hurry(Clock::now());
    else
      operation_.fail(std::move(error));
  }

 private:
  Operation operation_;
};

/// A task beside others in one loop: keeps the wait that it has asked for.
class TaskRun {
 public:
  void begin(std::unique_ptr<Task> task) {
    task_ = std::move(task);
    own_.clear();
    own_.again();
  }
  void end() noexcept { task_.reset(); }
  [[nodiscard]] bool is_over() const noexcept { return !task_; }

  /// True when its wait is over; `waits` is the set after the wait.
  [[nodiscard]] bool due(TimePoint now, const WaitSet& waits) const noexcept {
    return task_ && (now >= own_.deadline() || waits.ready(place_, own_.size()));
  }
  /// Goes on, with the events that `waits` has for it.
  bool resume(TimePoint now, const WaitSet& waits) {
    own_.take_events(waits, place_);
    return task_->resume(now, own_);
  }
  /// It is due at once then.
  void cancel(std::exception_ptr error) {
    task_->cancel(std::move(error));
    own_.again();
  }
  /// Adds its wait to `waits`.
  void wait(WaitSet& waits) {
    if (task_) place_ = waits.add(own_);
  }

 private:
  std::unique_ptr<Task> task_;
  WaitSet own_;
  std::size_t place_ = 0;  // of its first descriptor, in the loop's set
};

}  // namespace mirakuru::detail
