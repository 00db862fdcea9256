// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <algorithm>
#include <array>
#include <exception>
#include <type_traits>
#include <utility>

#include <boost/hana/for_each.hpp>
#include <boost/hana/size.hpp>

#include <mirakuru/engine/loop.hpp>
#include <mirakuru/engine/service.hpp>
#include <mirakuru/engine/start_fsm.hpp>
#include <mirakuru/engine/stop.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/ready/probe.hpp>
#include <mirakuru/report/event.hpp>
#include <mirakuru/report/patience.hpp>

namespace mirakuru::detail {

/// `all`: the predicates of a wait_for() may be about the end.
template <class... Checks>
consteval std::array<bool, sizeof...(Checks)> which_are_valid_after_exit(
    hana::basic_type<hana::basic_tuple<Checks...>>, bool all) {
  return {(all || ValidAfterExit<Checks>)...};
}

template <class... Checks>
consteval bool has_coroutine(hana::basic_type<hana::basic_tuple<Checks...>>) {
  return (NeedsAsio<Checks> || ...);
}
/// The loop of the blocking forms: Asio's if a check is a coroutine.
template <class... Checks>
using BlockingLoop =
    std::conditional_t<(has_coroutine(hana::type_c<Checks>) || ...), AsioLoop, PollLoop>;

/// The loop that checks which are coroutines run on; null for `PollLoop`, where there are none.
class CoroutineLoop {
 public:
  CoroutineLoop(PollLoop&) noexcept {}
  CoroutineLoop(AsioLoop& loop) noexcept : loop_{&loop} {}
  CoroutineLoop(AsioLoop* loop) noexcept : loop_{loop} {}

  [[nodiscard]] AsioLoop* get() const noexcept { return loop_; }

 private:
  AsioLoop* loop_ = nullptr;
};

/// The check that a `wait_for()` of an executor with the policies `Set` is given: as it is, or made
/// of a predicate.
template <class Set, class Predicate>
auto checks_of_wait(Predicate predicate) {
  if constexpr (ReadinessCheck<Predicate>) {
    static_assert(CheckOutputKept<Predicate, typename Set::Output>::ok);
    static_assert(!NeedsPreparation<Predicate>,
                  "mirakuru: this check prepares the command, so wait_for() comes too late for it; "
                  "give it to the executor");
    return hana::basic_tuple<Predicate>{std::move(predicate)};
  } else {
    static_assert(std::is_invocable_r_v<Readiness, Predicate&>,
                  "mirakuru: wait_for() takes a predicate that is called as predicate() or "
                  "predicate(const mirakuru::Process&) and returns bool or mirakuru::Readiness, or "
                  "any check");
    auto ask = [predicate = std::move(predicate)](const Process&) mutable -> Readiness {
      if constexpr (std::is_invocable_r_v<Readiness, Predicate&>) return predicate();
      return {};
    };
    return hana::basic_tuple<decltype(ask)>{std::move(ask)};
  }
}

/// The part of a start that does not depend on policies: its decisions, and the probe at hand.
class StartBase {
 protected:
  using Action = StartFSM::Action;

  /// `waits_for`: the process runs already, and the checks are those of a `wait_for()`.
  StartBase(ServiceBase& service, std::span<const bool> valid_after_exit, AsioLoop* loop,
            bool waits_for, std::chrono::nanoseconds budget, std::size_t of_spawn = 0)
      : base_{service},
        loop_{loop},
        waits_for_{waits_for},
        budget_{budget},
        timeline_{waits_for ? own_timeline_ : service.timeline},
        fsm_{valid_after_exit, timeline_, of_spawn} {}
  StartBase(const StartBase&) = delete;
  StartBase& operator=(const StartBase&) = delete;
  ~StartBase() = default;

  /// Takes the readiness of the last wait; `event` is the process's descriptor, or -1.
  void begin_round(TimePoint now, int event, WaitSet& waits);
  /// `context` has the facts of the process.
  void spawned(pid_t pid, ProbeContext context);
  /// Takes the place of the spawn in a `wait_for()`. `from_now_on`: earlier output does not count.
  /// Throws `ExecutorError` if there is no process, and has been none.
  void join(pid_t pid, ProbeContext context, bool from_now_on);
  void observed(bool alive);
  void begin_probe(std::unique_ptr<Probe> probe);
  void poll();
  void close();
  void wait(int event, WaitSet& waits);
  void done();

  // How it fails. `described` names the check at hand; empty for a predicate.
  [[noreturn]] void throw_failure(Action action, const std::string& described,
                                  const std::string& hint);
  [[noreturn]] void throw_check_failed(const std::string& described) const;
  [[noreturn]] void throw_watched(const std::string& described, const std::string& quote) const;
  [[nodiscard]] std::string awaited(const std::string& described) const {
    return awaited(described, fsm_.check());
  }
  [[nodiscard]] std::string awaited(const std::string& described, std::size_t check) const;
  [[nodiscard]] StillWaiting still_waiting(const std::string& described) const;

  ServiceBase& base_;
  AsioLoop* loop_;
  bool waits_for_;
  std::chrono::nanoseconds budget_;
  Timeline own_timeline_;
  Timeline& timeline_;
  StartFSM fsm_;
  std::optional<Process> process_;
  ProbeRun probe_;
  Patience patience_;
  std::exception_ptr error_;
  bool spares_tree_ = false;  // a failure leaves the process alone

 private:
  [[nodiscard]] ErrorContext error_context(TimePoint now, const std::string& described) const;

  TimePoint round_began_ = {};
  TimePoint leader_failed_ = TimePoint::max();
  bool from_now_on_ = false;
  OutputStreams news_;  // the output from now on
};

/// The operation of `start()`, and of `wait_for()`: carries out the decisions of `StartFSM`.
template <class Set, class Checks = typename Set::Checks>
class StartOperation : StartBase {
 public:
  /// `limit` holds besides the start budget.
  StartOperation(Service<Set>& service, CoroutineLoop loop,
                 std::chrono::nanoseconds limit = std::chrono::nanoseconds::max())
      : StartBase{service,
                  valid_after_exit<false>,
                  loop.get(),
                  false,
                  std::min<std::chrono::nanoseconds>(service.budget.start, limit),
                  TellsExecution<typename Set::Spawner> ? 1U : 0U},
        service_{service},
        checks_{service.checks} {}
  /// Waits within `limit` until the checks of a running service hold. An exception of a check
  /// passes through, and the process runs on.
  StartOperation(Service<Set>& service, Checks& checks, std::chrono::nanoseconds limit,
                 CoroutineLoop loop)
      : StartBase{service, valid_after_exit<true>, loop.get(), true, limit},
        service_{service},
        checks_{checks} {}

  /// Goes on as far as it can without waiting. Returns true when the service is ready; otherwise
  /// `waits` has the next wait. Throws the start's error when no process is left.
  bool resume(TimePoint now, WaitSet& waits) {
    const auto at = fsm_.check();
    look_at_watchers(now, waits);
    begin_round(now, event(), waits);
    if (fsm_.check() != at) report_passed(at);
    if (error_) end_tree(waits);
    for (bool first = true;; first = false) {
      const auto action = fsm_.next();
      if (action == Action::end) {
        if (stop_) return false;
        std::rethrow_exception(error_);
      }
      if (action == Action::spawn && !first) return again(waits);  // the budget begins there
      try {
        if (carry_out(action, waits)) return action == Action::done || action == Action::begin;
      } catch (...) {
        if (!error_) {
          fail(std::current_exception());
          return again(waits);  // the stop budget begins there
        }
        fsm_.closed(false);  // a probe that throws while it is called off has no attempt left
      }
    }
  }

  /// Makes the start fail with `error`, from the next resume() on.
  void fail(std::exception_ptr error) {
    if (error_) return;
    error_ = std::move(error);
    fsm_.failed();
  }

 private:
  template <bool all>
  static constexpr auto valid_after_exit = which_are_valid_after_exit(hana::type_c<Checks>, all);

  /// Carries out one action. Returns true when resume() has to return.
  bool carry_out(Action action, WaitSet& waits) {
    switch (action) {
      case Action::begin:
        if (waits_for_) {
          (void)service_.alive();
          join(service_.process ? service_.process->pid() : 0, context_of_process(),
               reads_output(checks_));
          return false;
        }
        if (service_.alive()) return true;
        if (service_.process && service_.ended_badly()) service_.report_end(true);
        service_.clear();
        service_.reset_last_run();
        fsm_.begun();
        return false;
      case Action::precheck:
      case Action::probe:
      case Action::poll:
      case Action::close:
      case Action::wait:
        try {
          ask(action, waits);
        } catch (const CannotHold&) {
          spares_tree_ = false;
          throw_check_failed(described());
        } catch (...) {
          if (waits_for_) throw;
          throw_check_failed(described());
        }
        if (action == Action::poll) waits.again();
        return action == Action::poll || action == Action::wait;
      case Action::spawn:
        service_.spawn();
        spawned(service_.process->pid(), context_of_process());
        begin_watchers();
        if (service_.reports_steps())
          service_.report(Spawned{service_.command.text(), service_.process->pid()});
        waits.again();
        return true;
      case Action::observe:
        observed(service_.alive());
        return false;
      case Action::done:
        done();
        return true;
      default:
        if (action != Action::refuse && !waits_for_)  // the last words tell more
          watch(fsm_.now(), [](const ProbeRun& run) { return !run.is_over(); });
        throw_failure(action, action == Action::refuse ? conflict() : described(),
                      action == Action::time_out ? hint() : "");
    }
  }

  /// A process that does not run here has no guardian that a probe could ask.
  [[nodiscard]] ProbeContext context_of_process() const {
    using Spawner = typename Set::Spawner;
    ProbeContext context{.guardian = runs_here<Spawner> ? service_.guardian() : 0,
                         .far = service_.far(),
                         .event = event()};
    if constexpr (requires(LaunchRequest request) { service_.spawner.launch(request); }) {
      context.launcher = &service_.spawner;
      context.beside = [](const void* any, const std::string& id, LaunchRequest request) {
        const auto& launcher = *static_cast<const Spawner*>(any);
        if constexpr (requires { launcher.beside(std::move(request), id); })
          return launcher.beside(std::move(request), id);
        else
          return launcher.launch(std::move(request));
      };
    }
    return context;
  }

  /// Calls code of the check at hand, whose exceptions come nested in the start's error.
  void ask(Action action, WaitSet& waits) {
    if (action == Action::poll) return poll();
    if (action == Action::close) return close();
    if (action == Action::wait) {
      if (patience_.over(fsm_.now())) service_.report(still_waiting(described()));
      wait(event(), waits);
      for (auto& watcher : watchers_) watcher.wait(fsm_.now(), waits);
      return;
    }
    with_check([&]<class Check>(Check& check) {
      if (action == Action::probe)
        begin_probe(make_probe(check, *process_));
      else if constexpr (requires { check.precheck(); }) {
        if (auto probe = check.precheck())
          begin_probe(std::move(probe));
        else
          fsm_.prechecked(false);
      } else if constexpr (requires { static_cast<bool>(check.already_true()); })
        fsm_.prechecked(check.already_true());
      else
        fsm_.prechecked(false);
    });
  }

  /// The watchers of `FailsOn` look during the whole start.
  void begin_watchers() {
    std::size_t i = 0;
    hana::for_each(service_.watchers,
                   [&](const auto& watcher) { watchers_[i++].begin(watcher.watch(*process_)); });
  }
  /// Makes the start fail if a watcher's check holds.
  void look_at_watchers([[maybe_unused]] TimePoint now, [[maybe_unused]] const WaitSet& waits) {
    if constexpr (watcher_count > 0) {
      if (error_ || waits_for_ || !process_) return;
      try {
        watch(now, [&](const ProbeRun& run) { return run.is_new() || run.due(now, waits); });
      } catch (...) {
        fail(std::current_exception());
      }
    }
  }
  /// Polls the watchers that are due. Throws the error of one that holds.
  template <class IsDue>
  void watch(TimePoint now, IsDue is_due) {
    std::size_t i = 0;
    hana::for_each(service_.watchers, [&](const auto& watcher) {
      auto& run = watchers_[i++];
      if (!is_due(run)) return;
      try {
        if (!run.poll(now)) return;
      } catch (const DeadlinePassed&) {
        return run.end();  // it has looked for as long as it should
      } catch (...) {
        throw_check_failed(watcher.describe());
      }
      throw_watched(watcher.describe(), watcher.quote(*process_));
    });
  }

  /// Resume() comes back with a fresh time.
  static bool again(WaitSet& waits) {
    waits.again();
    return false;
  }

  /// Begins the stop after a failure, or goes on with it.
  void end_tree(WaitSet& waits) {
    try {
      if (!std::exchange(stops_, true) && service_.process && !spares_tree_) {
        const auto steps = service_.kill_steps();
        stop_.emplace(service_, fsm_.now(), StopPlan{steps}, ExitPolicy::ignore);
      }
      if (!stop_ || !stop_->resume(fsm_.now(), waits)) return;
    } catch (...) {
      error_ = std::current_exception();
    }
    stop_.reset();
  }

  /// The process's descriptor; -1 for none.
  [[nodiscard]] int event() const { return service_.process ? service_.process->event() : -1; }

  /// Calls `visit` with the check at hand, or the one at a place.
  template <class Visit>
  void with_check(Visit visit) {
    with_check(fsm_.check(), visit);
  }
  template <class Visit>
  void with_check(std::size_t at, Visit visit) {
    std::size_t i = 0;
    hana::for_each(checks_, [&](auto& check) {
      if (i++ == at) visit(check);
    });
  }

  /// Tells the reporter that a check has passed.
  void report_passed(std::size_t check) {
    if (check >= timeline_.checks.size() || timeline_.checks[check].passed == TimePoint{} ||
        !service_.reports_steps())
      return;
    const auto& times = timeline_.checks[check];
    service_.report(CheckPassed{service_.command.text(), awaited(described(check), check),
                                times.passed - timeline_.spawned, times.attempts, times.note});
  }

  /// The name of the check at hand. An exception from describe() must not replace another error.
  [[nodiscard]] std::string described() { return described(fsm_.check()); }
  [[nodiscard]] std::string described(std::size_t at) {
    std::string text;
    try {
      with_check(at, [&](auto& check) {
        if constexpr (requires { check.describe(); }) text = check.describe();
      });
    } catch (...) {
      return "check " + std::to_string(at + 1) + " (its describe() throws)";
    }
    return text;
  }

  /// The hint of the check at hand, which has timed out. An exception must not replace that error.
  [[nodiscard]] std::string hint() {
    std::string text;
    try {
      with_check([&](auto& check) {
        if constexpr (requires { check.hint(*process_); }) text = check.hint(*process_);
      });
    } catch (...) {
      return {};
    }
    return text;
  }

  /// Says why the check at hand is true before the start.
  [[nodiscard]] std::string conflict() {
    std::string text;
    try {
      with_check([&](auto& check) {
        if constexpr (requires { check.describe_conflict(); })
          text = check.describe_conflict();
        else
          text = awaited(described()) + " holds before the start";
      });
    } catch (...) {
      throw_check_failed(described());
    }
    return text;
  }

  static bool reads_output(const Checks& checks) {
    bool any = false;
    hana::for_each(checks, [&any]<class Check>(const Check& check) {
      if constexpr (requires { check.looks_at_output; })  // its type is forgotten
        any |= check.looks_at_output;
      else
        any |= ReadsOutput<Check>;
    });
    return any;
  }

  static constexpr auto watcher_count =
      decltype(hana::size(std::declval<typename Set::WatcherTypes>()))::value;

  Service<Set>& service_;
  Checks& checks_;
  [[no_unique_address]] std::array<ProbeRun, watcher_count> watchers_;
  std::optional<StopOperation<Set>> stop_;
  bool stops_ = false;  // once
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/engine/start.ipp>
#endif
