// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include <boost/hana/for_each.hpp>

#include <mirakuru/engine/loop.hpp>
#include <mirakuru/engine/service.hpp>
#include <mirakuru/engine/start_state.hpp>
#include <mirakuru/engine/stop.hpp>

namespace mirakuru::detail {

/// A check that can tell before the start whether what it waits for is there already: at once, or
/// by an attempt.
template <class Check>
concept TellsAtOnce = requires(Check& check) {
  { check.already_true() } -> std::convertible_to<bool>;
};
template <class Check>
concept TellsByAttempt = requires(Race& race, Check& check) { enter_look(race, &check); };

/// A check of what a process leaves behind: it holds even if the process has ended since.
template <class Check>
concept ValidAfterExit = requires { requires Check::valid_after_exit; };
template <class... Checks>
consteval std::array<bool, sizeof...(Checks)> which_outlive(
    hana::basic_type<hana::basic_tuple<Checks...>>) {
  return {ValidAfterExit<Checks>...};
}

/// The state machine of `start()`.
///
///     begin -> looking -> (spawn) -> attempting <-> pausing -> done; from any of them -> ending
///
/// begin: what runs already is ready; a process that has died since is cleared.
/// looking: each check that can tell is tried once; if it holds, somebody else is there.
/// attempting: the check at hand is tried; when it holds the next one is, until there is none.
/// pausing: it did not hold; its watch or the schedule says how long to leave the service alone.
/// ending: the start has failed; the tree is ended before the exception leaves.
template <class Set>
class Starting : StartState {
 public:
  explicit Starting(Service<Set>& service) : StartState{service, checks}, service_{service} {}

  /// Goes on as far as it can without waiting. True when the start has succeeded; else `race` has
  /// what to wait for. Throws what the start failed of, when all is cleaned up.
  bool resume(Race& race) {
    try {
      if (stage_ == Stage::begin) {
        if (service_.alive()) return true;
        service_.clear();
        service_.reset_last_run();
        stage_ = Stage::looking;
      }
      if (stage_ == Stage::looking && look_ahead(race)) {
        service_.spawn(checks);
        begin_waiting(service_.process->pid(), service_.budget.start);
      }
      if (stage_ == Stage::attempting || stage_ == Stage::pausing) return wait(race);
    } catch (...) {
      fail(failure());
    }
    return stage_ == Stage::ending && end(race);
  }

  /// Makes the start fail with `error`, from the next `resume()` on.
  void fail(std::exception_ptr error) {
    if (stage_ == Stage::ending) return;
    begin_ending(std::move(error));
    if (service_.process) ending_.emplace(service_, service_.kill_steps(), ExitPolicy::ignore);
  }

 private:
  static constexpr auto valid_after_exit = which_outlive(hana::type_c<typename Set::Checks>);
  static constexpr std::size_t checks = valid_after_exit.size();

  /// Calls `visit` with the check at hand.
  template <class Visit>
  void with_check(Visit visit) {
    std::size_t i = 0;
    hana::for_each(service_.checks, [&, at = check_](auto& check) {
      if (i++ == at) visit(check);
    });
  }

  /// True when all have been looked at and nobody is there.
  bool look_ahead(Race& race) {
    for (; check_ < checks; ++check_) {
      bool holds = false;
      asking_ = true;
      if (!entered_)
        with_check([&]<class Check>(Check& check) {
          if constexpr (TellsAtOnce<Check>)
            holds = check.already_true();
          else if constexpr (TellsByAttempt<Check>)
            holds = begin_look(enter_look(race, &check));
        });
      const bool in_flight = entered_ && still_looks(race, holds);
      const auto holder = holds ? conflict() : std::string{};
      asking_ = false;
      if (in_flight) return false;
      if (holds) refuse(holder);
    }
    return true;
  }

  bool wait(Race& race) {
    if (checks == 0) return ready(race);
    const int event = service_.process->event();
    wake(event < 0 || race.process_has_news());
    go_on(race);
    for (;;) {
      take_outcome(race);
      const bool alive = !unseen() || service_.alive();
      if (!alive || service_.exit_code.value_or(0) != 0) {
        if (listen_to_last_words(race)) return false;
        if (outlived()) return ready(race);
        throw_exited(awaited());
      }
      if (check_ == checks) return ready(race);
      if (out_of_time()) {
        if (watch_ && !asked_the_last_time()) {
          attempt(race);
          continue;
        }
        race.call_off();
        take_outcome(race);
        if (!entered_) throw_timed_out(awaited(), service_.budget.start);
        return false;  // for what it says last
      }
      if (due()) {
        attempt(race);
        if (!entered_) continue;  // it has been answered at once
      }
      if (has_ended_at_limit(race)) continue;
      wait_for(race, event);
      return false;
    }
  }

  /// The process has ended: what it has left behind may hold nonetheless. True as long as the check
  /// at hand is being asked a last time.
  bool listen_to_last_words(Race& race) {
    process_->running_ = false;
    if (last_asked_ != check_) race.call_off();
    take_outcome(race);
    while (!entered_ && check_ < checks && !asked_the_last_time())
      if (valid_after_exit[check_]) attempt(race);
    last_asked_ = check_;
    return entered_;
  }

  /// Tries the check at hand.
  void attempt(Race& race) {
    begin_attempt(valid_after_exit[check_]);
    asking_ = true;
    with_check([&]<class Check>(Check& check) {
      if constexpr (requires { enter(race, &check, *process_); }) {
        take(enter(race, &check, *process_));
      } else if constexpr (WatchingCheck<Check>) {
        if (!watch_) watch_ = check.watch(*process_);
        look();
      } else {
        judge(Readiness{check(*process_)});
      }
    });
    asking_ = false;
  }

  bool end(Race& race) {
    race.call_off();
    try {
      if (ending_ && !ending_->resume(race)) return false;
    } catch (...) {
      error_ = std::current_exception();
    }
    ending_.reset();
    if (race.attempting()) return false;
    std::rethrow_exception(error_);
  }

  /// What the exception at hand comes to: if it is a check's, the start's error carries it.
  [[nodiscard]] std::exception_ptr failure() {
    try {
      if (asking_) throw_check_failed(awaited());
      throw;
    } catch (...) {
      return std::current_exception();
    }
  }

  /// What the check at hand waits for. That the check cannot say it must not hide what went wrong.
  [[nodiscard]] std::string awaited() {
    if (check_ == checks) return {};  // all hold
    const auto number = "check " + std::to_string(check_ + 1);
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

  /// Who holds what the check at hand waits for; that it is held, for a check that does not tell.
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
  std::optional<Ending<Set>> ending_;
};

}  // namespace mirakuru::detail
