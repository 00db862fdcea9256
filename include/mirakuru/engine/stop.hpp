// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>

#include <utility>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/engine/service.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/os/wait_set.hpp>
#include <mirakuru/stop/schedule.hpp>

namespace mirakuru::detail {

/// Whether a stop reports how the leader has ended.
enum class ExitPolicy { check, ignore };

/// The part of a stop that does not depend on policies: which signal is due, and whether the exit
/// status is accepted.
class StopBase {
 protected:
  StopBase(ServiceBase& service, TimePoint begin, std::span<const SignalStep> steps,
           std::chrono::nanoseconds budget, ExitPolicy policy, const std::vector<int>& accept,
           const std::vector<int>& accept_besides);

  /// The signal to send now; 0 for none. Throws `ExecutorError` when a process has survived
  /// SIGKILL.
  [[nodiscard]] int signal_due(TimePoint now);
  /// Adds the wait for the end or for the next signal; `event` is the process's descriptor, or -1.
  void wait(TimePoint now, int event, WaitSet& waits);
  /// Throws `ProcessFinishedWithError` if the exit status is not accepted.
  void check_exit(TimePoint now) const;
  void skip_to_kill(TimePoint now) { schedule_.hurry(now); }

 private:
  ServiceBase& base_;
  TimePoint begin_;
  SignalSchedule schedule_;
  ExitPolicy policy_;
  std::vector<int> accept_;
  std::vector<int> signals_;  // of the steps, and those that were sent while the leader lived
};

/// The operation of `stop()` and `kill()`: sends the signals that are due until the tree is gone.
template <class Set>
class StopOperation : StopBase {
 public:
  /// `begin`: when the stop budget begins. `accept`: exit codes that are good in this call, besides
  /// those of the signal strategy.
  StopOperation(Service<Set>& service, TimePoint begin, std::span<const SignalStep> steps,
                ExitPolicy policy, const std::vector<int>& accept = {})
      : StopBase{service, begin, steps, service.budget.stop, policy, service.signals.accept,
                 accept},
        service_{service} {}

  /// Goes on as far as it can without waiting. Returns true when no process is left; otherwise
  /// `waits` has the next wait. Throws `ProcessFinishedWithError` by the exit policy, and
  /// `ExecutorError` when a process has survived SIGKILL.
  bool resume(TimePoint now, WaitSet& waits) {
    waits.clear();
    if (!service_.process) return true;
    if (!service_.alive()) {
      service_.clear();
      check_exit(now);
      return true;
    }
    while (const int signal = signal_due(now)) service_.process->signal(signal);
    wait(now, service_.process->event(), waits);
    return false;
  }

  /// Goes over to SIGKILL at `now`.
  void hurry(TimePoint now) { skip_to_kill(now); }

 private:
  Service<Set>& service_;
};

/// The operation of `wait()`: waits until the leader has ended by itself.
template <class Set>
class WaitOperation {
 public:
  WaitOperation(Service<Set>& service, TimePoint begin) : service_{service}, begin_{begin} {}

  /// Returns true when the leader has ended, or was not running; otherwise `waits` has the next
  /// wait.
  bool resume(TimePoint now, WaitSet& waits) {
    waits.clear();
    if (error_) std::rethrow_exception(error_);
    if (!service_.alive() || service_.exit_code) return true;
    const int event = service_.process->event();
    waits.add(event);
    // Also once a second: somebody may have stopped the guardian, which brings the news.
    waits.until(after(now, event < 0 ? pause_after(now - begin_) : std::chrono::seconds{1}));
    return false;
  }

  /// Makes the next resume() throw `error`.
  void fail(std::exception_ptr error) { error_ = std::move(error); }

 private:
  Service<Set>& service_;
  TimePoint begin_;
  std::exception_ptr error_;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/engine/stop.ipp>
#endif
