// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>
#include <span>
#include <vector>

#include <mirakuru/group/member.hpp>
#include <mirakuru/group/task.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/config.hpp>

namespace mirakuru::detail {

/// The operation of a group's start and stop: runs those of its members in one loop.
///
///     idle -> starting -> ready -> ending -> gone
///
/// Upwards a member starts when its needs are ready. Downwards one ends when nobody that needs it
/// is left. A start that fails turns downwards, and ends only members that it has started.
class GroupOperation {
 public:
  /// A start. Each member has its own budget, and `limit` is for all. Throws
  /// `std::invalid_argument` for an executor that is given twice.
  GroupOperation(std::span<Member> members, CoroutineLoop loop, std::chrono::nanoseconds limit);
  /// An end.
  GroupOperation(std::span<Member> members, End how);

  /// Returns true when all is done; otherwise `waits` has the next wait. Throws the first error
  /// when nothing is under way any more.
  bool resume(TimePoint now, WaitSet& waits);
  /// A start fails with `error`; an end goes over to SIGKILL.
  void fail(std::exception_ptr error);

 private:
  enum class State { idle, starting, ready, ending, gone };

  struct Run {
    State state = State::idle;
    TaskRun task = {};
    bool is_foreign = false;  // it was ready before this start
    std::size_t place = 0;    // of its event, in the loop's set
    TimePoint look_at = {};   // also without an event
  };

  void begin();
  void go_on(std::size_t at, const WaitSet& waits);
  void watch(std::size_t at, TimePoint now, const WaitSet& waits);
  void start_those_possible();
  void end_those_possible();
  void keep(std::exception_ptr error);
  [[nodiscard]] bool all(State state) const;
  [[nodiscard]] std::exception_ptr with_limit(std::exception_ptr error) const;

  std::span<Member> members_;
  CoroutineLoop loop_ = nullptr;
  std::chrono::nanoseconds limit_;
  End end_ = End::destroy;
  bool upwards_;
  bool began_ = false;
  TimePoint deadline_ = TimePoint::max();
  std::vector<Run> runs_;
  std::exception_ptr error_;
};

/// Runs a start of members in the calling thread, on the loop that their checks need.
void run_start(std::span<Member> members, std::chrono::nanoseconds limit);
/// Runs an end of members in the calling thread.
void run_end(std::span<Member> members, End how);

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/group/operation.ipp>
#endif
