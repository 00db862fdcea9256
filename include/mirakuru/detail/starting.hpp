// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include <boost/hana/for_each.hpp>
#include <boost/hana/size.hpp>

#include <mirakuru/detail/ending.hpp>
#include <mirakuru/detail/race.hpp>
#include <mirakuru/detail/service.hpp>
#include <mirakuru/detail/watch.hpp>

namespace mirakuru::detail {

/// A check that can tell before the start whether what it waits for is there already: at once, or
/// by an attempt. `describe_holder()` says what and whose it is.
template <class Check>
concept TellsAtOnce = requires(const Check& check) {
  { check.held() } -> std::convertible_to<bool>;
  { check.describe_holder() } -> std::convertible_to<std::string>;
};
template <class Check>
concept TellsByAttempt = requires(Race& race, const Check& check) {
  enter_look(race, &check);
  { check.describe_holder() } -> std::convertible_to<std::string>;
};

/// A check of what a process leaves behind: it holds even if the process has ended since.
template <class Check>
concept OutlivesProcess = requires { requires Check::outlives_process; };

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
class Starting {
 public:
  explicit Starting(Service<Set>& service) : service_{service} {}

  /// Goes on as far as it can without waiting. True when the start has succeeded; else `race` has
  /// what to wait for. Throws what the start failed of, when all is cleaned up.
  bool resume(Race& race) {
    try {
      if (stage_ == Stage::begin) {
        if (service_.alive()) return true;
        service_.clear();
        stage_ = Stage::looking;
      }
      if (stage_ == Stage::looking && look(race)) spawn();
      if (stage_ == Stage::attempting || stage_ == Stage::pausing) return wait(race);
    } catch (...) {
      fail(std::current_exception());
    }
    return stage_ == Stage::ending && end(race);
  }

  /// Makes the start fail with `error`, from the next `resume()` on.
  void fail(std::exception_ptr error) {
    if (stage_ == Stage::ending) return;
    stage_ = Stage::ending;
    error_ = std::move(error);
    service_.retire(std::move(watch_));
    if (service_.process) ending_.emplace(service_, service_.kill_steps(), Judgement::ignore);
  }

 private:
  enum class Stage { begin, looking, attempting, pausing, ending };

  static constexpr std::size_t checks =
      decltype(hana::size(std::declval<typename Set::Checks&>()))::value;

  /// Calls `visit` with the check at hand.
  template <class Visit>
  void with_check(Visit visit) {
    std::size_t i = 0;
    hana::for_each(service_.checks, [&, at = check_](auto& check) {
      if (i++ == at) visit(check);
    });
  }

  /// True when all have been looked at and nobody is there.
  bool look(Race& race) {
    for (; check_ < checks; ++check_) {
      if (!entered_)
        with_check([&]<class Check>(const Check& check) {
          if constexpr (TellsAtOnce<Check>) {
            if (check.held()) refuse();
          } else if constexpr (TellsByAttempt<Check>) {
            const auto entry = enter_look(race, &check);
            if (const auto* answer = std::get_if<Readiness>(&entry); answer == nullptr)
              entered(attempt_limit({}));
            else if (*answer)
              refuse();
          }
        });
      if (!entered_) continue;
      race.go_on();
      keep_to_limit(race);
      if (race.attempting()) {
        race.until(limit_);
        return false;
      }
      entered_ = false;
      if (const auto answer = race.take_readiness(); answer && *answer) refuse();
    }
    return true;
  }

  [[noreturn]] void refuse() {
    std::string holder;
    with_check([&](const auto& check) {
      if constexpr (requires { check.describe_holder(); }) holder = check.describe_holder();
    });
    Circumstances{.command = service_.invocation.text()}.throw_already_running(holder);
  }

  void spawn() {
    service_.timeline.checks.assign(checks, {});
    service_.spawn();
    process_.emplace(service_.process->pid(), service_.streams);
    deadline_ = after(service_.timeline.spawned, service_.budget.start);
    stage_ = Stage::attempting;
    check_ = 0;
  }

  bool wait(Race& race) {
    if (checks == 0) return ready();
    const auto woken_at = Clock::now();
    if (watch_) resume_at_ = woken_at;
    const int event = service_.process->event();
    unseen_ |= event < 0 || race.process_has_news() || woken_at >= look_again_at_;
    guarded([&] { race.go_on(); });
    for (;;) {
      take_outcome(race);
      const bool alive = !std::exchange(unseen_, false) || look_at_process();
      if (!alive || service_.exit_code.value_or(0) != 0) {
        if (listen_to_last_words(race)) return false;
        if (check_ == checks && last_words_ && service_.exit_code == 0) return ready();
        circumstances().throw_exited(service_.exit_code.value_or(0));
      }
      if (check_ == checks) return ready();
      const auto now = Clock::now();
      if (now >= deadline_ && tried_) {
        if (watch_ && std::exchange(last_asked_, check_) != check_) {
          attempt(race);
          continue;
        }
        race.call_off();
        take_outcome(race);
        if (!entered_) circumstances().throw_timed_out(service_.budget.start);
        return false;  // for what it says last
      }
      if (!entered_ && woken_at >= resume_at_) {
        attempt(race);
        if (!entered_) continue;  // it has been answered at once
      }
      keep_to_limit(race);
      if (entered_ && !race.attempting()) continue;
      auto wake = std::min(
          {deadline_, limit_, look_again_at_, entered_ ? Clock::time_point::max() : resume_at_});
      if (event < 0)
        wake = std::min(wake, after(now, pause_after(now - service_.timeline.spawned)));
      race.watch(event, watch_ ? watch_->changes().event() : -1);
      race.until(wake);
      return false;
    }
  }

  /// Once in a while without news, too: somebody may have stopped who would tell them.
  bool look_at_process() {
    look_again_at_ = after(Clock::now(), std::chrono::seconds{1});
    return service_.alive();
  }

  bool ready() {
    service_.timeline.ready = Clock::now();
    return true;
  }

  /// The process has ended: what it has left behind may hold nonetheless. True as long as the check
  /// at hand is being asked a last time.
  bool listen_to_last_words(Race& race) {
    process_->running_ = false;
    if (last_asked_ != check_) race.call_off();
    take_outcome(race);
    while (!entered_ && std::exchange(last_asked_, check_) != check_)
      with_check([&]<class Check>(const Check&) {
        if constexpr (OutlivesProcess<Check>) attempt(race);
      });
    last_asked_ = check_;
    return entered_;
  }

  /// Judges an attempt that has ended.
  void take_outcome(Race& race) {
    if (!entered_ || race.attempting()) return;
    entered_ = false;
    judge(guarded([&] { return race.take_readiness(); }), true);
  }

  /// Tries the check at hand.
  void attempt(Race& race) {
    stage_ = Stage::attempting;
    tried_ = true;
    auto& times = service_.timeline.checks[check_];
    if (times.attempts++ == 0) times.first_tried = Clock::now();
    with_check([&]<class Check>(Check& check) {
      last_words_ = OutlivesProcess<Check>;
      if constexpr (requires { enter(race, &check, *process_); }) {
        const auto entry = guarded([&] { return enter(race, &check, *process_); });
        if (const auto* answer = std::get_if<Readiness>(&entry)) return judge(*answer);
        limited_ = std::get<Attempt>(entry) == Attempt::limited;
        entered(limited_ ? attempt_limit(Clock::now() - service_.timeline.spawned)
                         : std::chrono::nanoseconds::max());
      } else if constexpr (WatchingCheck<Check>) {
        guarded([&] { look(check); });
      } else {
        judge(guarded([&]() -> std::optional<Readiness> { return Readiness{check(*process_)}; }));
      }
    });
  }

  /// All that is there, if this is the last time.
  template <class Check>
  void look(const Check& check) {
    if (!watch_) watch_ = check.watch(*process_);
    const bool last = !process_->running() || Clock::now() >= deadline_;
    if (last) watch_->close();
    do judge(watch_->look());
    while (last && watch_ && watch_->more());
  }

  void judge(const std::optional<Readiness>& answer, bool in_flight = false) {
    limit_ = Clock::time_point::max();
    if (answer && *answer) {
      service_.timeline.checks[check_++].passed = Clock::now();
      service_.retire(std::move(watch_));
      unseen_ = true;
      tried_ = false;  // each is tried once, however late it is
      reason_.clear();
      return;
    }
    const auto now = Clock::now();
    // An attempt that the deadline has cut short does not hide what was said before.
    const bool was_long = now - entered_at_ > (now - service_.timeline.spawned) / 2;
    if (!answer && limited_ && (was_long || reason_.empty()))
      reason_ = "no answer within " + to_text(now - entered_at_);
    else if (answer && !answer->reason().empty())
      reason_ = answer->reason();
    const std::chrono::nanoseconds waited = now - service_.timeline.spawned;
    const auto pause = !watch_          ? pause_after(waited, in_flight ? 45 : 64)
                       : watch_->more() ? std::chrono::nanoseconds{}
                                        : watch_->pause(waited);
    resume_at_ = after(now, pause);
    stage_ = Stage::pausing;
  }

  void entered(std::chrono::nanoseconds limit) {
    entered_ = true;
    entered_at_ = Clock::now();
    limit_ = after(entered_at_, limit);
  }

  /// Calls off an attempt whose time is up.
  void keep_to_limit(Race& race) {
    if (!entered_ || Clock::now() < limit_) return;
    race.call_off();
    limit_ = Clock::time_point::max();
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

  /// What goes wrong in a check is the check's; the start's error carries it.
  template <class Ask>
  auto guarded(Ask ask) {
    try {
      return ask();
    } catch (...) {
      circumstances().throw_check_failed();
    }
  }

  [[nodiscard]] Circumstances circumstances() {
    std::string awaited;
    with_check([&](const auto& check) {
      if constexpr (requires { check.describe(); })
        awaited = check.describe();
      else
        awaited = "a predicate (check " + std::to_string(check_ + 1) + ')';
    });
    return service_.circumstances(std::move(awaited), reason_);
  }

  Service<Set>& service_;
  Stage stage_ = Stage::begin;
  std::size_t check_ = 0;    // the check at hand
  bool unseen_ = true;       // what may have happened to the process
  bool entered_ = false;     // its attempt has been entered into the race, and not been judged yet
  bool limited_ = false;     // and it has a time limit
  bool tried_ = false;       // the check at hand
  bool last_words_ = false;  // the check tried last outlives the process
  std::size_t last_asked_ = checks;  // which check was asked after the end
  std::optional<Process> process_;
  std::unique_ptr<Watch> watch_;  // of the check at hand, if it has one
  Clock::time_point deadline_ = Clock::time_point::max();
  Clock::time_point limit_ = Clock::time_point::max();  // of the attempt in flight
  Clock::time_point look_again_at_ = {};                // at the process
  Clock::time_point entered_at_ = {};
  Clock::time_point resume_at_ = {};  // the end of the pause
  std::string reason_;
  std::exception_ptr error_;
  std::optional<Ending<Set>> ending_;
};

}  // namespace mirakuru::detail
