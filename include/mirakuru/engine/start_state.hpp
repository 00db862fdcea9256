// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/engine/loop.hpp>
#include <mirakuru/engine/service.hpp>
#include <mirakuru/process.hpp>
#include <mirakuru/ready/watch.hpp>

namespace mirakuru::detail {

/// The part of a start that is the same whatever its policies are: how far it is, what it waits for
/// and until when, and what the last attempt came to. `Starting` has the stages.
class StartState {
 protected:
  enum class Stage { begin, looking, attempting, pausing, ending };

  StartState(ServiceBase& service, std::size_t checks) : base_{service}, checks_{checks} {}

  // Before the spawn, and then at it.

  /// Takes an entry into the race as a look: true if it holds already.
  bool begin_look(const Entry& entry);
  /// True as long as the look is in flight; `holds` is what it came to then.
  bool still_looks(Race& race, bool& holds);
  [[noreturn]] void refuse(const std::string& holder) const;
  void begin_waiting(pid_t pid, std::chrono::nanoseconds budget);

  // The check at hand.

  void begin_attempt(bool valid_after_exit);
  /// Judges an entry into the race that has been answered; the others are in flight from here on.
  void take(const Entry& entry);
  /// Lets the watch look; at all that is there, if this is the last time.
  void look();
  /// Lets the attempt in flight go on.
  void go_on(Race& race);
  /// Judges an attempt that has ended.
  void take_outcome(Race& race);
  void judge(const std::optional<Readiness>& answer, bool in_flight = false);
  /// Calls off an attempt whose time is up. True when it has ended without a run of the race.
  bool has_ended_at_limit(Race& race);

  // What there is to do.

  /// Begins a round after a run of the race.
  void wake(bool process_has_news);
  /// True when the process is to be looked at: there are news of it, or none have come for long.
  [[nodiscard]] bool unseen();
  /// True when the check at hand is to be tried now.
  [[nodiscard]] bool due() const { return !entered_ && woken_at_ >= resume_at_; }
  [[nodiscard]] bool out_of_time() const { return tried_ && Clock::now() >= deadline_; }
  /// True once for each check: it is to be asked a last time.
  [[nodiscard]] bool asked_the_last_time() { return std::exchange(last_asked_, check_) == check_; }
  /// True when the last check has been passed by what the process has left behind.
  [[nodiscard]] bool outlived() const {
    return check_ == checks_ && last_words_ && base_.exit_code == 0;
  }
  /// Says what to wait for; `event` is the process's descriptor, or -1.
  void wait_for(Race& race, int event) const;
  bool ready(Race& race);

  // How it fails.

  [[noreturn]] void throw_exited(std::string awaited) const;
  [[noreturn]] void throw_timed_out(std::string awaited, std::chrono::nanoseconds budget) const;
  /// The exception at hand is a check's, and is nested in that of the start.
  [[noreturn]] void throw_check_failed(std::string awaited) const;
  void begin_ending(std::exception_ptr error);

  ServiceBase& base_;
  std::size_t checks_;  // how many there are
  Stage stage_ = Stage::begin;
  std::size_t check_ = 0;    // the check at hand
  bool unseen_ = true;       // what may have happened to the process
  bool asking_ = false;      // what is thrown meanwhile is the check's
  bool entered_ = false;     // its attempt has been entered into the race, and not been judged yet
  bool limited_ = false;     // and it has a time limit
  bool tried_ = false;       // the check at hand
  bool last_words_ = false;  // the check tried last outlives the process
  std::size_t last_asked_ = checks_;  // which check was asked after the end
  std::optional<Process> process_ = {};
  std::unique_ptr<Watch> watch_ = {};  // of the check at hand, if it has one
  Clock::time_point deadline_ = Clock::time_point::max();
  Clock::time_point limit_ = Clock::time_point::max();  // of the attempt in flight
  Clock::time_point look_again_at_ = {};                // at the process
  Clock::time_point entered_at_ = {};
  Clock::time_point woken_at_ = {};
  Clock::time_point resume_at_ = {};  // the end of the pause
  std::string reason_ = {};
  std::exception_ptr error_ = {};

 private:
  void entered(std::chrono::nanoseconds limit);
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/engine/start.ipp>
#endif
