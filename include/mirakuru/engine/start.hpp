// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <exception>
#include <type_traits>

#include <boost/hana/for_each.hpp>

#include <mirakuru/engine/loop.hpp>
#include <mirakuru/engine/service.hpp>
#include <mirakuru/engine/start_fsm.hpp>
#include <mirakuru/engine/stop.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/ready/probe.hpp>

namespace mirakuru::detail {

template <class... Checks>
consteval std::array<bool, sizeof...(Checks)> which_are_valid_after_exit(
    hana::basic_type<hana::basic_tuple<Checks...>>) {
  return {ValidAfterExit<Checks>...};
}

template <class... Checks>
consteval bool has_coroutine(hana::basic_type<hana::basic_tuple<Checks...>>) {
  return (AwaitableCheck<Checks> || ...);
}
/// The loop of the blocking forms: Asio's if a check is a coroutine.
template <class Set>
using BlockingLoop =
    std::conditional_t<has_coroutine(hana::type_c<typename Set::Checks>), AsioLoop, PollLoop>;

/// The part of a start that does not depend on policies: its decisions, and the probe at hand.
class StartBase {
 protected:
  using Action = StartFSM::Action;

  StartBase(ServiceBase& service, std::span<const bool> valid_after_exit, AsioLoop* loop)
      : base_{service}, loop_{loop}, fsm_{valid_after_exit, service.timeline} {}
  StartBase(const StartBase&) = delete;
  StartBase& operator=(const StartBase&) = delete;
  ~StartBase() = default;

  /// Takes the readiness of the last wait; `event` is the process's descriptor, or -1.
  void begin_round(TimePoint now, int event, WaitSet& waits);
  void spawned(pid_t pid, std::chrono::nanoseconds budget);
  void observed(bool alive);
  void begin_probe(std::unique_ptr<Probe> probe);
  void poll();
  void close();
  void wait(int event, WaitSet& waits);
  void done();

  // How it fails. `described` names the check at hand; empty for a predicate.
  [[noreturn]] void throw_failure(Action action, const std::string& described,
                                  std::chrono::nanoseconds budget) const;
  [[noreturn]] void throw_check_failed(const std::string& described) const;
  [[nodiscard]] std::string awaited(const std::string& described) const;

  ServiceBase& base_;
  AsioLoop* loop_;
  StartFSM fsm_;
  std::optional<Process> process_;
  ProbeRun probe_;
  std::exception_ptr error_;

 private:
  TimePoint round_began_ = {};
};

/// The operation of `start()`: carries out the decisions of `StartFSM`.
template <class Set>
class StartOperation : StartBase {
 public:
  StartOperation(Service<Set>& service, PollLoop&) : StartOperation{service, nullptr} {}
  /// Checks that are coroutines run on `loop`.
  StartOperation(Service<Set>& service, AsioLoop& loop) : StartOperation{service, &loop} {}

  /// Goes on as far as it can without waiting. Returns true when the service is ready; otherwise
  /// `waits` has the next wait. Throws the start's error when no process is left.
  bool resume(TimePoint now, WaitSet& waits) {
    begin_round(now, event(), waits);
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
  StartOperation(Service<Set>& service, AsioLoop* loop)
      : StartBase{service, valid_after_exit, loop}, service_{service} {}

  static constexpr auto valid_after_exit =
      which_are_valid_after_exit(hana::type_c<typename Set::Checks>);

  /// Carries out one action. Returns true when resume() has to return.
  bool carry_out(Action action, WaitSet& waits) {
    switch (action) {
      case Action::begin:
        if (service_.alive()) return true;
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
        } catch (...) {
          throw_check_failed(described());
        }
        if (action == Action::poll) waits.again();
        return action == Action::poll || action == Action::wait;
      case Action::spawn:
        service_.spawn();
        spawned(service_.process->pid(), service_.budget.start);
        waits.again();
        return true;
      case Action::observe:
        observed(service_.alive());
        return false;
      case Action::done:
        done();
        return true;
      default:
        throw_failure(action, action == Action::refuse ? conflict() : described(),
                      service_.budget.start);
    }
  }

  /// Calls code of the check at hand, whose exceptions come nested in the start's error.
  void ask(Action action, WaitSet& waits) {
    if (action == Action::poll) return poll();
    if (action == Action::close) return close();
    if (action == Action::wait) return wait(event(), waits);
    with_check([&]<class Check>(Check& check) {
      if (action == Action::probe)
        begin_probe(make_probe(check, *process_));
      else if constexpr (requires { check.precheck(); })
        begin_probe(check.precheck());
      else if constexpr (requires { static_cast<bool>(check.already_true()); })
        fsm_.prechecked(check.already_true());
      else
        fsm_.prechecked(false);
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
      if (!std::exchange(stops_, true) && service_.process)
        stop_.emplace(service_, fsm_.now(), service_.kill_steps(), ExitPolicy::ignore);
      if (!stop_ || !stop_->resume(fsm_.now(), waits)) return;
    } catch (...) {
      error_ = std::current_exception();
    }
    stop_.reset();
  }

  /// The process's descriptor; -1 for none.
  [[nodiscard]] int event() const { return service_.process ? service_.process->event() : -1; }

  /// Calls `visit` with the check at hand.
  template <class Visit>
  void with_check(Visit visit) {
    std::size_t i = 0;
    hana::for_each(service_.checks, [&, at = fsm_.check()](auto& check) {
      if (i++ == at) visit(check);
    });
  }

  /// The name of the check at hand. An exception from describe() must not replace another error.
  [[nodiscard]] std::string described() {
    std::string text;
    try {
      with_check([&](auto& check) {
        if constexpr (requires { check.describe(); }) text = check.describe();
      });
    } catch (...) {
      return "check " + std::to_string(fsm_.check() + 1) + " (its describe() throws)";
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

  Service<Set>& service_;
  std::optional<StopOperation<Set>> stop_;
  bool stops_ = false;  // once
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/engine/start.ipp>
#endif
