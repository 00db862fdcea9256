// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>

#include <utility>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/engine/service.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/os/wait_set.hpp>
#include <mirakuru/report/event.hpp>
#include <mirakuru/report/patience.hpp>
#include <mirakuru/stop/schedule.hpp>

namespace mirakuru::detail {

/// The treatment of an end that is not accepted: throw it, tell the reporter, or ignore it.
enum class ExitPolicy { check, report, ignore };

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
  /// True if `stop()` throws for this end.
  [[nodiscard]] bool ended_badly() const;
  /// Throws `ProcessFinishedWithError` if the exit status is not accepted.
  void check_exit(TimePoint now);
  [[nodiscard]] bool reports_end() const noexcept { return policy_ == ExitPolicy::report; }
  /// True if the leader had ended before the first signal.
  [[nodiscard]] bool ended_by_itself() const noexcept {
    return signals_sent_ == 0 || leader_had_ended_;
  }
  /// True if the signal that was due just now is the SIGKILL that follows others.
  [[nodiscard]] bool had_to_kill(int signal) const noexcept {
    return signal == SIGKILL && signals_sent_ > 1 && schedule_.all_sent();
  }
  [[nodiscard]] std::chrono::nanoseconds waited(TimePoint now) const { return now - begin_; }
  void skip_to_kill(TimePoint now) { schedule_.hurry(now); }

 private:
  ServiceBase& base_;
  TimePoint begin_;
  SignalSchedule schedule_;
  ExitPolicy policy_;
  std::vector<int> accept_;
  std::size_t signals_sent_ = 0;
  bool leader_had_ended_ = false;  // before the first signal
  std::vector<int> signals_;       // of the steps, and those that were sent while the leader lived
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
      report_end(now);
      check_exit(now);
      return true;
    }
    while (const int signal = signal_due(now)) {
      if (had_to_kill(signal)) service_.report(HadToBeKilled{service_.command.text(), waited(now)});
      service_.process->signal(signal);
    }
    wait(now, service_.process->event(), waits);
    return false;
  }

  /// Goes over to SIGKILL at `now`.
  void hurry(TimePoint now) { skip_to_kill(now); }

 private:
  void report_end(TimePoint now) {
    const auto& command = service_.command.text();
    // The rest of a daemon's tree is the service itself.
    if (!service_.stragglers.empty() && !ended_by_itself())
      service_.report(LeftStragglers{command, service_.stragglers});
    if (service_.reports_steps())
      service_.report(Stopped{command, service_.exit_code.value_or(0), waited(now)});
    if (reports_end() && ended_badly()) service_.report_end(ended_by_itself());
  }

  Service<Set>& service_;
};

/// The operation of `wait()`: waits until the leader has ended by itself.
template <class Set>
class WaitOperation {
 public:
  WaitOperation(Service<Set>& service, TimePoint begin)
      : service_{service}, begin_{begin}, patience_{begin} {}

  /// Returns true when the leader has ended; otherwise `waits` has the next wait. Throws
  /// `ExecutorError` if it has not been started.
  bool resume(TimePoint now, WaitSet& waits) {
    waits.clear();
    if (error_) std::rethrow_exception(error_);
    if (!service_.process && !service_.has_started()) service_.throw_not_started();
    if (!service_.alive() || service_.exit_code) return true;
    const int event = service_.process->event();
    waits.add(event);
    // Also once a second: somebody may have stopped the guardian, which brings the news.
    if (patience_.over(now))
      service_.report(StillWaiting{service_.command.text(),
                                   "its end",
                                   {},
                                   now - begin_,
                                   std::chrono::nanoseconds::max(),
                                   last_line(service_.streams)});
    waits.until(patience_.next());
    waits.until(after(now, event < 0 ? pause_after(now - begin_) : std::chrono::seconds{1}));
    return false;
  }

  /// Makes the next resume() throw `error`.
  void fail(std::exception_ptr error) { error_ = std::move(error); }

 private:
  Service<Set>& service_;
  TimePoint begin_;
  Patience patience_;
  std::exception_ptr error_;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/engine/stop.ipp>
#endif
