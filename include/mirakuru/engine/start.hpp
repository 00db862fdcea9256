// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <boost/hana/for_each.hpp>

#include <mirakuru/engine/loop.hpp>
#include <mirakuru/engine/service.hpp>
#include <mirakuru/engine/start_fsm.hpp>
#include <mirakuru/engine/stop.hpp>
#include <mirakuru/os/file_changes.hpp>
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

/// The operation of `start()`: carries out the decisions of `StartFSM`.
template <class Set>
class StartOperation {
 public:
  StartOperation(Service<Set>& service, PollLoop&) : StartOperation{service, nullptr} {}
  /// Checks that are coroutines run on `loop`.
  StartOperation(Service<Set>& service, AsioLoop& loop) : StartOperation{service, &loop} {}
  StartOperation(const StartOperation&) = delete;
  StartOperation& operator=(const StartOperation&) = delete;

  /// Goes on as far as it can without waiting. Returns true when the service is ready; otherwise
  /// `waits` has the next wait. Throws the start's error when no process is left.
  bool resume(TimePoint now, WaitSet& waits) {
    fsm_.resume(now, event() < 0 || waits.ready(0), probe_.due(now, waits));
    waits.clear();
    if (error_) end_tree(waits);
    for (;;) {
      const auto action = fsm_.next();
      if (action == Action::end) {
        if (stop_) return false;
        std::rethrow_exception(error_);
      }
      try {
        if (carry_out(action, waits)) return action == Action::done || action == Action::begin;
      } catch (...) {
        if (error_) {  // of a probe that is called off: the start has its error
          fsm_.polled({}, probe_.pending());
        } else {
          fail(std::current_exception());
          end_tree(waits);
        }
      }
    }
  }

  /// Makes the start fail with `error`, from the next resume() on.
  void fail(std::exception_ptr error) {
    if (error_) return;
    error_ = std::move(error);
    fsm_.failed();
    if (service_.process)
      stop_.emplace(service_, fsm_.now(), service_.kill_steps(), ExitPolicy::ignore);
  }

 private:
  using Action = StartFSM::Action;

  StartOperation(Service<Set>& service, AsioLoop* loop)
      : service_{service}, loop_{loop}, fsm_{valid_after_exit, service.timeline} {}

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
        ask([this] { precheck(); });
        return false;
      case Action::refuse:
        service_.error_context(fsm_.now()).throw_already_running(ask([this] {
          return conflict();
        }));
      case Action::spawn:
        service_.spawn();
        fsm_.spawned(service_.budget.start);
        process_.emplace(service_.process->pid(), service_.streams, true,
                         ProbeContext{fsm_.now(), &service_.changes, loop_});
        waits.again();
        return true;
      case Action::observe:
        fsm_.observed(service_.alive(), service_.exit_code);
        if (fsm_.exited()) process_->set_ended();
        return false;
      case Action::probe:
        ask([this] {
          with_check([this](auto& check) { probe_.begin(make_probe(check, *process_)); });
        });
        fsm_.probed();
        return false;
      case Action::poll:
        ask([this] {
          const auto answer = probe_.poll(fsm_.now());  // and then, is it pending?
          fsm_.polled(answer, probe_.pending());
        });
        waits.again();
        return true;
      case Action::close:
        probe_.close(fsm_.close_until());
        fsm_.closed(probe_.pending());
        return false;
      case Action::wait:
        if (!error_) waits.add(event());  // the stop has added it otherwise
        service_.changes.drop_unused();
        fsm_.wait(waits, event() >= 0);
        probe_.wait(fsm_.now(), waits);
        return true;
      case Action::exit:
        error_context().throw_exited(fsm_.exit_code());
      case Action::time_out:
        error_context().throw_timed_out(service_.budget.start);
      case Action::done:
        if (FileChanges::too_many_open()) service_.changes.close();
        service_.timeline.ready = fsm_.now();
        return true;
      case Action::end:
        break;
    }
    return true;
  }

  /// Goes on with the stop after a failure.
  void end_tree(WaitSet& waits) {
    try {
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

  /// Calls code of a check. Its exception comes nested in the start's error.
  template <class Body>
  auto ask(Body body) {
    try {
      return body();
    } catch (...) {
      error_context().throw_check_failed();
    }
  }

  void precheck() {
    with_check([this]<class Check>(Check& check) {
      if constexpr (requires { check.precheck(); }) {
        probe_.begin(check.precheck());
        fsm_.probed();
      } else if constexpr (requires { static_cast<bool>(check.already_true()); }) {
        fsm_.prechecked(check.already_true());
      } else {
        fsm_.prechecked(false);
      }
    });
  }

  [[nodiscard]] ErrorContext error_context() {
    return service_.error_context(fsm_.now(), awaited(), fsm_.reason());
  }

  /// Names the check at hand. An exception from describe() must not replace the original error.
  [[nodiscard]] std::string awaited() {
    if (fsm_.all_passed()) return {};
    const auto number = "check " + std::to_string(fsm_.check() + 1);
    std::string text = "a predicate (" + number + ')';
    try {
      with_check([&](auto& check) {
        if constexpr (requires { check.describe(); }) text = check.describe();
      });
    } catch (...) {
      text = number + " (its describe() throws)";
    }
    return text;
  }

  /// Says why the check at hand is true before the start.
  [[nodiscard]] std::string conflict() {
    std::string text;
    with_check([&](auto& check) {
      if constexpr (requires { check.describe_conflict(); })
        text = check.describe_conflict();
      else
        text = awaited() + " holds before the start";
    });
    return text;
  }

  Service<Set>& service_;
  AsioLoop* loop_;
  StartFSM fsm_;
  std::optional<Process> process_;
  ProbeRun probe_;
  std::optional<StopOperation<Set>> stop_;
  std::exception_ptr error_;
};

}  // namespace mirakuru::detail
