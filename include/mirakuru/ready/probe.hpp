// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/wait_set.hpp>
#include <mirakuru/process.hpp>
#include <mirakuru/report/timeline.hpp>

namespace mirakuru {

/// Finds out whether the service is ready. A check makes a fresh one for each start:
///
///     std::unique_ptr<mirakuru::Probe> probe(const mirakuru::Process& process) const;
///
/// The start polls the probe, waits until something that the probe names has come, and polls it
/// again. The check and `process` outlive the probe.
class Probe {
 public:
  virtual ~Probe() = default;

  /// Looks whether the service is ready, at the moment `now`. Never blocks, and takes no more than
  /// some milliseconds. A reason for "not yet" goes into the start's error; without one the last
  /// reason stays. An exception ends the start, which rethrows it nested in an `ExecutorError`.
  [[nodiscard]] virtual Readiness poll(TimePoint now) = 0;
  /// Adds to `waits` the descriptors and the moment that the next poll() waits for. Called after a
  /// poll(), with the moment at which the pause begins.
  virtual void wait(TimePoint now, WaitSet& waits) const = 0;
  /// True while an attempt is under way, or a poll() has left input for the next one. The next
  /// poll() then continues the attempt, and comes after any wait.
  [[nodiscard]] virtual bool pending() const noexcept { return false; }
  /// The process has ended, or the start's time is up: no new input counts, and an attempt that is
  /// under way is given up. The next poll() is the last look at the input of now. It may stay
  /// pending() until `until`. A second call may name an earlier moment.
  virtual void close([[maybe_unused]] TimePoint until) {}
  /// The times of the checks that a composed one is made of.
  [[nodiscard]] virtual std::vector<CheckTimes> arms() const { return {}; }
};

namespace detail {

/// A probe in a wait loop: tells when it is due, and keeps the wait that it has asked for.
class ProbeRun {
 public:
  void begin(std::unique_ptr<Probe> probe) {
    probe_ = std::move(probe);
    rests_ = false;
  }

  void end() noexcept { probe_.reset(); }

  /// True when the wait that it has asked for is over; `waits` is the set after the wait.
  [[nodiscard]] bool due(TimePoint now, const WaitSet& waits) const noexcept {
    return probe_ && rests_ &&
           (probe_->pending() || now >= own_.deadline() || waits.ready(place_, own_.size()));
  }
  /// The same for a probe within a probe, which has no set to look at: it asks.
  [[nodiscard]] bool due(TimePoint now) {
    return probe_ && (!rests_ || probe_->pending() || now >= own_.deadline() || own_.ask());
  }
  [[nodiscard]] Readiness poll(TimePoint now) {
    rests_ = false;
    return probe_->poll(now);
  }
  [[nodiscard]] bool is_over() const noexcept { return !probe_; }
  /// True until the first wait after the begin or a poll.
  [[nodiscard]] bool is_new() const noexcept { return probe_ && !rests_; }
  [[nodiscard]] std::vector<CheckTimes> arms() const {
    return probe_ ? probe_->arms() : std::vector<CheckTimes>{};
  }
  [[nodiscard]] bool pending() const noexcept { return probe_ && probe_->pending(); }
  void close(TimePoint until) {
    rests_ = false;
    probe_->close(until);
  }
  /// Adds its wait, which begins with the first call after a poll().
  void wait(TimePoint now, WaitSet& waits) {
    if (!probe_) return;
    if (!std::exchange(rests_, true)) {
      own_.clear();
      probe_->wait(now, own_);
    }
    place_ = waits.add(own_);
  }

 private:
  std::unique_ptr<Probe> probe_;
  WaitSet own_;            // the last wait that it has asked for
  std::size_t place_ = 0;  // of the first descriptor, in the loop's set
  bool rests_ = false;     // `own_` is valid
};

/// The probe of a predicate: asks it after pauses that adapt.
template <class Check>
class PredicateProbe final : public Probe {
 public:
  PredicateProbe(Check& check, const Process& process) : check_{check}, process_{process} {}

  Readiness poll(TimePoint) override {
    // At the deadline it has been asked already.
    return closed_ && process_.running() ? Readiness{} : Readiness{check_(process_)};
  }
  void wait(TimePoint now, WaitSet& waits) const override {
    waits.until(after(now, pause_after(process_.waited(now))));
  }
  void close(TimePoint) override { closed_ = true; }

 private:
  Check& check_;
  const Process& process_;
  bool closed_ = false;
};

/// Argument-dependent lookup finds the functions of <mirakuru/async.hpp> by this tag, if it is
/// included.
struct AsyncTag {};
template <class T>
concept HasAsync = requires(AsyncTag tag, T* any) { async_is_included(tag, any); };
template <class T>
concept AwaitableCheck = requires(AsyncTag tag, T& check, const Process& process) {
  coroutine_probe(tag, check, process);
};
template <class T>
concept ProbingCheck = requires(const T& check, const Process& process) {
  { check.probe(process) } -> std::convertible_to<std::unique_ptr<Probe>>;
};

/// A check that is a coroutine, or is made of one.
template <class T>
concept NeedsAsio = AwaitableCheck<T> || requires { requires T::needs_asio; };

/// A check of the remains of a process: it is asked once more when the process has ended.
template <class Check>
concept ValidAfterExit = requires { requires Check::valid_after_exit; };

/// A check that is nothing without its prepare().
template <class Check>
concept NeedsPreparation = requires { requires Check::needs_preparation; };

/// A check that looks at processes, files or sockets of this machine.
template <class Check>
concept LooksHere = requires { requires Check::looks_here; };

template <class Check>
concept ReadsOutput = requires { requires Check::reads_output; };

/// The name of a check in messages.
template <class Check>
[[nodiscard]] std::string name_of(const Check& check) {
  if constexpr (requires { check.describe(); })
    return check.describe();
  else
    return "a predicate";
}

/// Makes a fresh probe of a check: its own, or one around an awaitable or a predicate.
template <class Check>
[[nodiscard]] std::unique_ptr<Probe> make_probe(Check& check, const Process& process) {
  if constexpr (ProbingCheck<Check>)
    return check.probe(process);
  else if constexpr (AwaitableCheck<Check>)
    return coroutine_probe(AsyncTag{}, check, process);
  else
    return std::make_unique<PredicateProbe<Check>>(check, process);
}

}  // namespace detail
}  // namespace mirakuru
