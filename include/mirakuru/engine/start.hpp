// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <mirakuru/budget/patience.hpp>
#include <mirakuru/engine/check_ref.hpp>
#include <mirakuru/engine/loop.hpp>
#include <mirakuru/engine/policy_set.hpp>
#include <mirakuru/engine/service_base.hpp>
#include <mirakuru/engine/start_fsm.hpp>
#include <mirakuru/engine/stop.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/ready/probe.hpp>
#include <mirakuru/report/error_context.hpp>
#include <mirakuru/report/event.hpp>

namespace mirakuru::detail {

template <template <class...> class Tuple, class... Checks>
consteval bool has_coroutine(hana::basic_type<Tuple<Checks...>>) {
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
auto check_of_wait(Predicate predicate) {
  if constexpr (ReadinessCheck<Predicate>) {
    static_assert(CheckOutputKept<Predicate, typename Set::Output>::ok);
    static_assert(!NeedsPreparation<Predicate>,
                  "mirakuru: this check prepares the command, so wait_for() comes too late for it; "
                  "give it to the executor");
    return predicate;
  } else {
    static_assert(std::is_invocable_r_v<Readiness, Predicate&>,
                  "mirakuru: wait_for() takes a predicate that is called as predicate() or "
                  "predicate(const mirakuru::Process&) and returns bool or mirakuru::Readiness, or "
                  "any check");
    return [predicate = std::move(predicate)](const Process&) mutable -> Readiness {
      if constexpr (std::is_invocable_r_v<Readiness, Predicate&>) return predicate();
      return {};
    };
  }
}

/// The operation of `start()`, and of `wait_for()`: carries out the decisions of `StartFSM`.
class StartOperation {
 public:
  /// `limit` holds besides the start budget.
  StartOperation(ServiceBase& service, CoroutineLoop loop,
                 std::chrono::nanoseconds limit = std::chrono::nanoseconds::max());
  /// Waits within `limit` until the check of a running service holds. An exception of the check
  /// passes through, and the process runs on.
  StartOperation(ServiceBase& service, CheckRef check, std::chrono::nanoseconds limit,
                 CoroutineLoop loop);
  StartOperation(const StartOperation&) = delete;
  StartOperation& operator=(const StartOperation&) = delete;
  ~StartOperation();

  /// Goes on as far as it can without waiting. Returns true when the service is ready; otherwise
  /// `waits` has the next wait. Throws the start's error when no process is left.
  bool resume(TimePoint now, WaitSet& waits);
  /// Makes the start fail with `error`, from the next resume() on.
  void fail(std::exception_ptr error);

 private:
  using Action = StartFSM::Action;

  void begin_round(TimePoint now, WaitSet& waits);
  [[nodiscard]] bool carry_out(Action action, WaitSet& waits);
  void join();
  void spawn();
  void spawned();
  void report_spawned();
  void ask(Action action, WaitSet& waits);
  void begin_probe(std::unique_ptr<Probe> probe);
  void poll();
  void close();
  void wait(WaitSet& waits);
  void observe();
  void done();
  void look_at_watchers(TimePoint now, const WaitSet& waits);
  void poll_watcher(std::size_t at, TimePoint now);
  void end_tree(WaitSet& waits);
  void report_passed(std::size_t at);

  /// The check at a place; none behind the last one.
  [[nodiscard]] CheckRef check(std::size_t at) const;
  [[nodiscard]] std::string described(std::size_t at) const;
  [[nodiscard]] std::string described() const { return described(fsm_.check()); }
  [[nodiscard]] std::string awaited(const std::string& described, std::size_t at) const;
  [[nodiscard]] std::string conflict() const;
  [[nodiscard]] std::string hint() const;
  [[nodiscard]] StillWaiting still_waiting() const;
  [[nodiscard]] ErrorContext error_context(TimePoint now, const std::string& described) const;
  [[noreturn]] void throw_failure(Action action);
  [[noreturn]] void throw_watched(const WatcherRef& watcher) const;
  [[noreturn]] void throw_check_failed(const std::string& described) const;

  ServiceBase& service_;
  AsioLoop* loop_;
  CheckRef check_of_wait_;  // the check of a wait_for()
  bool is_wait_;            // the process runs already
  std::chrono::nanoseconds budget_;
  Timeline own_timeline_;
  Timeline& timeline_;
  StartFSM fsm_;
  std::optional<Process> process_;
  ProbeRun probe_;
  std::vector<ProbeRun> watchers_;
  Patience patience_;
  std::exception_ptr error_;
  bool spares_tree_ = false;  // a failure leaves the process alone
  std::optional<StopOperation> stop_;
  bool stops_ = false;  // once
  TimePoint round_began_ = {};
  TimePoint leader_failed_ = TimePoint::max();
  OutputStreams news_;  // the output from now on, for a wait_for() that reads it
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/engine/start.ipp>
#endif
