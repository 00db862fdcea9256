// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>

#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/os/wait_set.hpp>
#include <mirakuru/process.hpp>
#include <mirakuru/report/timeline.hpp>

namespace mirakuru::detail {

/// Decides how a start goes on. It knows no process, no probe and no clock: it is told facts, and
/// next() says which action follows. `StartOperation` carries the actions out.
///
///     begin -> prechecking -> probing -> (done)
///                               |  ^
///                               v  |
///                             closing -> ending -> (failed)
///
/// begin: a process that still runs is ready; the remains of an earlier run are cleared.
/// prechecking: each check that can tell is asked once whether it is true already.
/// probing: the check at hand is polled until it is ready, then the next one is.
/// closing: the process has ended or the time is up; the check at hand takes a last look.
/// ending: the start has failed; an attempt under way ends, and the tree does.
class StartFSM {
 public:
  /// Each is followed by the fact in brackets. A spawn and a poll take time: resume() comes next.
  enum class Action {
    begin,     ///< clear the remains of an earlier run (`begun`)
    precheck,  ///< ask the check at hand whether it is true already (`prechecked` or `probed`)
    refuse,    ///< fail: it is true already
    spawn,     ///< make the process (`spawned`, `resume`)
    observe,   ///< look at the process (`observed`)
    probe,     ///< make the probe of the check at hand (`probed`)
    poll,      ///< poll it (`polled`, `resume`)
    close,     ///< close it (`closed`)
    wait,      ///< wait for what wait() adds and for the probe (`resume`)
    exit,      ///< fail: the process has ended before it was ready
    time_out,  ///< fail: the start budget has run out
    done,      ///< the service is ready
    end,       ///< end the tree; nothing else is under way
  };

  /// `valid_after_exit` has an entry for each check. The first `of_spawn` checks are a part of the
  /// spawn: if there are no others, a command that has ended since is ready.
  StartFSM(std::span<const bool> valid_after_exit, Timeline& timeline, std::size_t of_spawn = 0)
      : valid_after_exit_{valid_after_exit}, timeline_{timeline}, of_spawn_{of_spawn} {}

  [[nodiscard]] Action next();

  // Facts.

  /// A wait has ended at `now`. `process_news`: the process may have changed. `probe_due`: the
  /// probe's wait is over.
  void resume(TimePoint now, bool process_news, bool probe_due);
  void begun() { stage_ = Stage::prechecking; }
  void prechecked(bool already_true);
  void spawned(std::chrono::nanoseconds budget);
  void observed(bool alive, std::optional<int> exit_code);
  void probed();
  /// `pending`: the probe's attempt goes on.
  void polled(const Readiness& answer, bool pending);
  void closed(bool pending);
  /// The start has failed, or has been cancelled.
  void failed();

  // Its state.

  /// Adds the moments to wait for; `pollable` is false for a process without a descriptor.
  void wait(WaitSet& waits, bool pollable) const;
  /// The check at hand; the number of checks when all have passed.
  [[nodiscard]] std::size_t check() const noexcept { return check_; }
  [[nodiscard]] bool all_passed() const noexcept { return check_ == valid_after_exit_.size(); }
  /// The last reason that the check at hand gave.
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }
  [[nodiscard]] bool exited() const noexcept { return exited_; }
  [[nodiscard]] bool has_probe() const noexcept { return has_probe_; }
  /// False when news of the process no longer matter.
  [[nodiscard]] bool watches_process() const noexcept { return stage_ == Stage::probing; }
  [[nodiscard]] int exit_code() const noexcept { return exit_code_.value_or(0); }
  [[nodiscard]] TimePoint now() const noexcept { return now_; }
  /// When the last look has to be over.
  [[nodiscard]] TimePoint close_until() const;

 private:
  enum class Stage { begin, prechecking, probing, closing, ending };

  void judge();
  void next_check();
  [[nodiscard]] Action next_of_closing();
  [[nodiscard]] bool only_spawns() const noexcept { return valid_after_exit_.size() == of_spawn_; }
  /// True when the check at hand may become ready in the stage `closing`.
  [[nodiscard]] bool takes_last_look() const { return !exited_ || valid_after_exit_[check_]; }

  std::span<const bool> valid_after_exit_;
  Timeline& timeline_;
  std::size_t of_spawn_;
  Stage stage_ = Stage::begin;
  std::size_t check_ = 0;
  TimePoint now_ = {};
  TimePoint deadline_ = TimePoint::max();
  TimePoint observe_at_ = TimePoint::max();  // also without news: somebody may have stopped the
                                             // process that brings them
  // Facts about the process.
  bool process_news_ = false;
  bool exited_ = false;
  std::optional<int> exit_code_;
  // Facts about the probe of the check at hand.
  bool has_probe_ = false;
  bool due_ = false;
  bool pending_ = false;
  bool closed_ = false;
  bool tried_ = false;               // each check is tried once, however late it is
  std::optional<Readiness> answer_;  // judged by the next resume(), at the time after the poll
  bool already_true_ = false;
  std::string reason_;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/engine/start_fsm.ipp>
#endif
