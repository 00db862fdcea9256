// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <mirakuru/budget/patience.hpp>
#include <mirakuru/engine/service_base.hpp>
#include <mirakuru/engine/stop_command.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/os/wait_set.hpp>
#include <mirakuru/stop/schedule.hpp>

namespace mirakuru::detail {

/// The signals of a stop.
struct StopPlan {
  std::span<const SignalStep> steps;
  std::chrono::nanoseconds head_start = {};  ///< for the way to stop that comes before them
  bool by_strategy = false;                  ///< the strategy's own way comes before them, if any
};

/// The operation of `stop()` and `kill()`: sends the signals that are due until the tree is gone.
class StopOperation {
 public:
  /// `begin`: when the stop budget begins. `accept`: exit codes that are good in this call, besides
  /// those of the signal strategy.
  StopOperation(ServiceBase& service, TimePoint begin, const StopPlan& plan, ExitPolicy policy,
                const std::vector<int>& accept = {});
  StopOperation(const StopOperation&) = delete;
  StopOperation& operator=(const StopOperation&) = delete;
  ~StopOperation();

  /// Goes on as far as it can without waiting. Returns true when no process is left; otherwise
  /// `waits` has the next wait. Throws `ProcessFinishedWithError` by the exit policy, and
  /// `ExecutorError` when a process has survived SIGKILL.
  bool resume(TimePoint now, WaitSet& waits);
  /// Goes over to SIGKILL at `now`.
  void hurry(TimePoint now) { schedule_.hurry(now); }

 private:
  void begin_way(TimePoint now);
  [[nodiscard]] bool end_way(TimePoint now, WaitSet& waits);
  void begin_signals(TimePoint now, std::string note);
  [[nodiscard]] TimedSignal signal_due(TimePoint now);
  void send(const TimedSignal& due);
  void wait(TimePoint now, WaitSet& waits);
  [[nodiscard]] bool ended_badly() const;
  void end(TimePoint now);
  void report_stragglers();
  void report_killed(TimePoint now);
  void report_stopped(TimePoint now);
  [[noreturn]] void throw_resists(TimePoint now, const char* headline) const;
  [[noreturn]] void throw_finished(TimePoint now);
  /// True if the leader had ended before the first signal.
  [[nodiscard]] bool ended_by_itself() const noexcept {
    return signals_sent_ == 0 || leader_had_ended_;
  }

  ServiceBase& service_;
  TimePoint begin_;
  SignalSchedule schedule_;
  ExitPolicy policy_;
  std::vector<int> accept_;
  std::size_t signals_sent_ = 0;
  bool leader_had_ended_ = false;  // before the first signal
  std::vector<int> signals_;       // of the steps, and those that were sent while the leader lived
  bool way_is_due_;
  int leaders_signal_ = 0;     // the leader alone has had it; 0 for none
  bool leader_first_ = false;  // the last signal to the living leader was for it alone
  std::unique_ptr<StopWay> way_;
};

/// Runs a `StopOperation` in the calling thread.
void run_stop(ServiceBase& service, const StopPlan& plan, ExitPolicy policy,
              const std::vector<int>& accept = {});

/// The operation of `wait()`: waits until the leader has ended by itself.
class WaitOperation {
 public:
  WaitOperation(ServiceBase& service, TimePoint begin,
                std::chrono::nanoseconds limit = std::chrono::nanoseconds::max())
      : service_{service}, begin_{begin}, limit_{limit}, patience_{begin} {}

  /// Returns true when the leader has ended; otherwise `waits` has the next wait. Throws
  /// `ExecutorError` if it has not been started, and `TimeoutExpired` at the limit.
  bool resume(TimePoint now, WaitSet& waits);
  /// Makes the next resume() throw `error`.
  void fail(std::exception_ptr error) { error_ = std::move(error); }

 private:
  ServiceBase& service_;
  TimePoint begin_;
  std::chrono::nanoseconds limit_;
  Patience patience_;
  std::exception_ptr error_;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/engine/stop.ipp>
#endif
