// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <csignal>
#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/engine/service.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/os/nameless_file.hpp>
#include <mirakuru/os/wait_set.hpp>
#include <mirakuru/output/output_file.hpp>
#include <mirakuru/report/event.hpp>
#include <mirakuru/report/patience.hpp>
#include <mirakuru/stop/schedule.hpp>

namespace mirakuru::detail {

/// The signals of a stop.
struct StopPlan {
  std::span<const SignalStep> steps;
  std::chrono::nanoseconds head_start = {};  ///< for the way to stop that comes before them
  bool by_strategy = false;                  ///< the strategy's own way comes before them, if any
};

/// The part of a stop that does not depend on policies: which signal is due, and whether the exit
/// status is accepted.
class StopBase {
 protected:
  StopBase(ServiceBase& service, TimePoint begin, const StopPlan& plan,
           std::chrono::nanoseconds budget, ExitPolicy policy, const std::vector<int>& accept,
           const std::vector<int>& accept_besides);

  /// The signal to send now; its number is 0 for none. Throws `ExecutorError` when a process has
  /// survived SIGKILL.
  [[nodiscard]] TimedSignal signal_due(TimePoint now);
  /// Throws `ExecutorError` for a stop command that may not be ended.
  [[noreturn]] void throw_resists(TimePoint now) const;
  /// The way before the signals has failed, for the reason `note`: they begin now.
  void begin_signals(TimePoint now, std::string note);
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

/// The command of `StopByCommand`.
template <class Spawner>
class StopCommand {
 public:
  void begin(const Spawner& spawner, const ResolvedCommand& command,
             std::chrono::nanoseconds budget) {
    name_ = command.text();
    try {
      output_ = OutputFile{nameless_file("a temporary file for its output", O_APPEND)};
      output_.keep();
      const auto input = checked_fd(::open("/dev/null", O_RDONLY | O_CLOEXEC), "open /dev/null");
      auto request = request_of(command, input.get(), output_.fd());
      request.start_budget = budget;
      process_.emplace(spawner.spawn(request));
    } catch (const std::exception& error) {
      failure_ = error.what();
    }
  }
  [[nodiscard]] bool lives() { return process_ && process_->alive(); }
  /// True once, if it cannot be run or has failed.
  [[nodiscard]] bool has_failed() {
    if (process_ && !process_->alive()) {
      const int code = process_->exit_code().value_or(0);
      if (code != 0) failure_ = exit_headline(code) + "; " + last_lines(output_.tail(), 3);
      process_.reset();
    }
    return !failure_.empty() && !std::exchange(told_, true);
  }
  [[nodiscard]] std::string failure() const {
    return "the command that stops it, " + name_ + ": " + failure_;
  }
  /// Kills it. True once, if it lives for too long after that; then it is left to its guardian.
  [[nodiscard]] bool resists(TimePoint now) {
    if (killed_at_ == TimePoint{}) {
      killed_at_ = now;
      process_->signal(SIGKILL);
    }
    std::chrono::nanoseconds grace = SignalSchedule::grace;
    if constexpr (requires { process_->refused(); })
      if (process_->refused()) grace = std::chrono::milliseconds{100};
    if (now < after(killed_at_, grace)) return false;
    process_.reset();
    return true;
  }
  void wait(TimePoint now, WaitSet& waits) const {
    if (!process_) return;
    waits.add(process_->event());
    waits.until(after(now, std::chrono::milliseconds{process_->event() < 0 ? 5 : 100}));
  }

 private:
  std::optional<decltype(std::declval<const Spawner&>().spawn(
      std::declval<const LaunchRequest&>()))>
      process_;
  OutputFile output_;
  std::string name_, failure_;
  bool told_ = false;
  TimePoint killed_at_ = {};
};
struct NoStopCommand {
  static constexpr bool lives() noexcept { return false; }
  static constexpr bool has_failed() noexcept { return false; }
  static std::string failure() { return {}; }
  static constexpr bool resists(TimePoint) noexcept { return false; }
  static void wait(TimePoint, WaitSet&) noexcept {}
};

/// The operation of `stop()` and `kill()`: sends the signals that are due until the tree is gone.
template <class Set>
class StopOperation : StopBase {
 public:
  /// `begin`: when the stop budget begins. `accept`: exit codes that are good in this call, besides
  /// those of the signal strategy.
  StopOperation(Service<Set>& service, TimePoint begin, const StopPlan& plan, ExitPolicy policy,
                const std::vector<int>& accept = {})
      : StopBase{service, begin, plan, service.budget.stop, policy, service.signals.accept, accept},
        service_{service},
        way_is_due_{plan.by_strategy} {}

  /// Goes on as far as it can without waiting. Returns true when no process is left; otherwise
  /// `waits` has the next wait. Throws `ProcessFinishedWithError` by the exit policy, and
  /// `ExecutorError` when a process has survived SIGKILL.
  bool resume(TimePoint now, WaitSet& waits) {
    waits.clear();
    if (!service_.process) return true;
    if constexpr (requires { service_.process->leave(); })
      if (service_.alive() && service_.process->leave()) {
        service_.clear();
        if (!service_.exit_code) return true;
        report_end(now);  // the rest of its tree is about to end
        check_exit(now);
        return true;
      }
    if (!service_.alive()) {
      if (way_.lives()) return end_way(now, waits);
      service_.clear();
      report_end(now);
      check_exit(now);
      return true;
    }
    if (std::exchange(service_.paused, false)) service_.resume();
    if (std::exchange(way_is_due_, false)) begin_way(now);
    if (way_.has_failed()) begin_signals(now, way_.failure());
    // The rest of a tree whose leader alone has had the signal.
    if (leaders_signal_ != 0 && service_.exit_code)
      service_.process->signal(std::exchange(leaders_signal_, 0));
    for (auto due = signal_due(now); due.signal != 0; due = signal_due(now)) {
      send(due);
      if (had_to_kill(due.signal))
        service_.report(HadToBeKilled{service_.command.text(), waited(now)});
      if (!service_.process) return true;  // the reporter must not stop it, but may do so
    }
    wait(now, service_.process->event(), waits);
    way_.wait(now, waits);
    return false;
  }

  /// Goes over to SIGKILL at `now`.
  void hurry(TimePoint now) { skip_to_kill(now); }

 private:
  void begin_way([[maybe_unused]] TimePoint now) {
    if constexpr (ClosesInput<typename Set::SignalStrategy>) try {
        service_.close_input(std::chrono::milliseconds{50});
      } catch (const ExecutorError&) {  // a terminal that nobody reads: the signals follow
        begin_signals(now, "its terminal takes no end of the input");
      }
    if constexpr (StopsByCommand<typename Set::SignalStrategy>)
      way_.begin(service_.spawner, service_.signals.command, service_.budget.stop);
  }
  /// The service has ended, and its command has not.
  bool end_way(TimePoint now, WaitSet& waits) {
    if (way_.resists(now)) throw_resists(now);
    way_.wait(now, waits);
    return false;
  }

  void send(const TimedSignal& due) {
    leaders_signal_ = 0;
    if (!service_.exit_code) leader_first_ = due.scope == Scope::leader;
    if (due.scope == Scope::tree || service_.exit_code) return service_.process->signal(due.signal);
    leaders_signal_ = due.signal;
    if constexpr (requires { service_.process->signal_leader(due.signal); })
      service_.process->signal_leader(due.signal);
    else
      ::kill(service_.process->pid(), due.signal);
  }

  void report_end(TimePoint now) {
    const auto& command = service_.command.text();
    // The rest of a daemon's tree is the service itself. SIGKILL goes to all at once, and after a
    // leader that comes first the others are meant to live.
    if (!service_.stragglers.empty() && !ended_by_itself() && !leader_first_ &&
        service_.exit_code != -SIGKILL)
      service_.report(LeftStragglers{command, service_.stragglers});
    if (service_.reports_steps())
      service_.report(Stopped{command, service_.exit_code.value_or(0), waited(now)});
    if (reports_end() && ended_badly()) service_.report_end(ended_by_itself());
  }

  using Way = std::conditional_t<StopsByCommand<typename Set::SignalStrategy>,
                                 StopCommand<typename Set::Spawner>, NoStopCommand>;

  Service<Set>& service_;
  bool way_is_due_;
  int leaders_signal_ = 0;     // the leader alone has had it; 0 for none
  bool leader_first_ = false;  // the last signal to the living leader was for it alone
  [[no_unique_address]] Way way_;
};

/// The operation of `wait()`: waits until the leader has ended by itself.
template <class Set>
class WaitOperation {
 public:
  WaitOperation(Service<Set>& service, TimePoint begin,
                std::chrono::nanoseconds limit = std::chrono::nanoseconds::max())
      : service_{service}, begin_{begin}, limit_{limit}, patience_{begin} {}

  /// Returns true when the leader has ended; otherwise `waits` has the next wait. Throws
  /// `ExecutorError` if it has not been started, and `TimeoutExpired` at the limit.
  bool resume(TimePoint now, WaitSet& waits) {
    waits.clear();
    if (error_) std::rethrow_exception(error_);
    if (!service_.process && !service_.has_started()) service_.throw_not_started();
    if (!service_.alive() || service_.exit_code) return service_.waited_for = true;
    if (now >= after(begin_, limit_)) service_.throw_still_running(now - begin_, limit_);
    const int event = service_.process->event();
    waits.until(after(begin_, limit_));
    waits.add(event);
    // Also once a second: somebody may have stopped the guardian, which brings the news.
    if (patience_.over(now))
      service_.report(StillWaiting{service_.command.text(),
                                   "its end",
                                   {},
                                   now - begin_,
                                   limit_,
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
  std::chrono::nanoseconds limit_;
  Patience patience_;
  std::exception_ptr error_;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/engine/stop.ipp>
#endif
