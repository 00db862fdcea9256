// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <chrono>
#include <concepts>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <mirakuru/budget/timeout.hpp>
#include <mirakuru/command.hpp>
#include <mirakuru/concepts.hpp>
#include <mirakuru/engine/loop.hpp>
#include <mirakuru/engine/policy_set.hpp>
#include <mirakuru/engine/service.hpp>
#include <mirakuru/engine/start.hpp>
#include <mirakuru/engine/stop.hpp>
#include <mirakuru/engine/wait.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/fwd.hpp>
#include <mirakuru/output/capture.hpp>
#include <mirakuru/process.hpp>
#include <mirakuru/spawn/guarded.hpp>
#include <mirakuru/stop/signals.hpp>
#include <mirakuru/timeline.hpp>

namespace mirakuru {

/// Starts a command, returns when it is ready, and ends it with all that it has started.
///
/// `Policies` are, in any order, at most one spawner, budget, signal strategy and output, and any
/// number of readiness checks, which run in the order given. What is left out is `Defaults`.
///
/// An executor may be moved while no asynchronous operation of its own is under way; it is not
/// thread-safe. Functions that return `*this` return it as an rvalue from an rvalue, so that
/// `auto server = TCPExecutor{...}.start();` moves it out.
template <class... Policies>
class Executor {
  using Set = detail::PolicySet<Policies...>;
  static_assert(Set::ok && Set::readable);

 public:
  /// Takes what to run (one string is split as a shell's line, a braced list is the words, even if
  /// it is one), and the values of policies in any order. A check of the type that is not
  /// given is derived from one that is (TCP's port from HTTP's URL) or default-constructed.
  ///
  /// Throws `std::invalid_argument` for a command that has no words or cannot be split, for a
  /// signal that is none (1 to `SIGRTMAX`), and for a negative budget or wait.
  template <class... Given>
  explicit Executor(detail::ResolvedCommand command, Given... given);

  Executor(Executor&& other) noexcept : service_{std::move(other.service_)} {
    other.service_.process.reset();
  }
  /// Stops what is running here first, as the destructor does.
  Executor& operator=(Executor&& other) noexcept;
  /// Stops it, by the signal strategy and within the stop budget. Never throws.
  ~Executor();

  /// Starts the command and blocks until each check holds. Does nothing when it is running already.
  ///
  /// Throws `AlreadyRunning`, `SpawnError`, `ProcessExitedWithError`, `TimeoutExpired`, or an
  /// `ExecutorError` that has nested in it what a check threw. Nothing of the tree is left then,
  /// and nothing is told of an earlier run any more.
  Executor& start() & {
    detail::BlockingLoop<Set> loop;
    detail::run(detail::StartOperation<Set>{service_, loop}, loop);
    return *this;
  }
  Executor&& start() && { return std::move(start()); }

  /// Ends the tree by the signal strategy, SIGKILL at the end of the stop budget, and blocks until
  /// nothing of it is left. Does nothing when nothing has been started.
  ///
  /// Throws `ProcessFinishedWithError` when the leader ended with a code that is not accepted: 0,
  /// an end by one of the strategy's signals, 128 plus its number, and what it accepts besides are.
  /// An end by force at the end of the budget is no error. Throws `ExecutorError` when something of
  /// the tree outlives SIGKILL for ten seconds; what is left can be stopped again.
  Executor& stop() & { return end(service_.signals.steps(), detail::ExitPolicy::check); }
  Executor&& stop() && { return std::move(stop()); }
  /// The same with `signal` in place of the strategy's, for this call; exit codes in `accept` are
  /// good besides: `stop(SIGQUIT, {3})`. Throws `std::invalid_argument` for what is no signal (1 to
  /// `SIGRTMAX`), also when nothing runs.
  Executor& stop(int signal, const std::vector<int>& accept = {}) & {
    return end(detail::single_step(signal), detail::ExitPolicy::check, accept);
  }
  Executor&& stop(int signal, const std::vector<int>& accept = {}) && {
    return std::move(stop(signal, accept));
  }

  /// Ends the tree by the strategy's kill signal, or `signal`, SIGKILL at the end of the stop
  /// budget, and blocks until nothing of it is left; how it ended is no error.
  ///
  /// Throws `std::invalid_argument` for what is no signal (1 to `SIGRTMAX`), also when nothing
  /// runs, and `ExecutorError` when something of the tree outlives SIGKILL for ten seconds.
  Executor& kill() & { return end(service_.kill_steps(), detail::ExitPolicy::ignore); }
  Executor&& kill() && { return std::move(kill()); }
  Executor& kill(int signal) & {
    return end(detail::single_step(signal), detail::ExitPolicy::ignore);
  }
  Executor&& kill(int signal) && { return std::move(kill(signal)); }

  /// Blocks until the command has ended by itself; for how long that takes.
  Executor& wait() & {
    detail::run(detail::WaitOperation<Set>{service_, detail::Clock::now()}, detail::PollLoop{});
    return *this;
  }
  Executor&& wait() && { return std::move(wait()); }

  /// Blocks until `predicate()`, or `predicate(const Process&)`, is true; asks after pauses that
  /// adapt. Whether the command lives is not looked at.
  ///
  /// `timeout`: the start budget anew if left out; zero or less: it is asked once. Throws
  /// `TimeoutExpired` when it has run out, and kills the tree first. What the predicate throws
  /// passes through as it is, and leaves the process running.
  template <class Predicate>
  Executor& wait_for(Predicate predicate, std::chrono::nanoseconds timeout) &;
  template <class Predicate>
  Executor& wait_for(Predicate predicate) & {
    return wait_for(std::move(predicate), service_.budget.start);
  }
  template <class Predicate, class... Timeout>
  Executor&& wait_for(Predicate predicate, Timeout... timeout) && {
    return std::move(wait_for(std::move(predicate), timeout...));
  }

  /// Stops it, calls `body()` or `body(executor)`, and starts it again, also when the body throws;
  /// the body's exception then passes through, whatever the start comes to. Was it not running,
  /// nothing is started. What `stop()` throws passes through, and the body is not called then.
  template <class Body>
  Executor& stopped(Body&& body) &;
  template <class Body>
  Executor&& stopped(Body&& body) && {
    return std::move(stopped(std::forward<Body>(body)));
  }

  /// True from the start until nothing of the tree lives.
  bool running() { return service_.alive(); }
  /// The leader's process id while it has not been stopped; 0 otherwise.
  [[nodiscard]] pid_t pid() const noexcept {
    return service_.process ? service_.process->pid() : 0;
  }
  /// The leader's exit status once it has ended, or minus the signal that ended it. Kept until the
  /// next start, also one that fails: of a run that has not begun there is none.
  [[nodiscard]] std::optional<int> exit_code() {
    service_.alive();
    return service_.exit_code;
  }
  /// All that the last run has printed so far on standard output; of both streams, if they share a
  /// file. Only for an output policy that keeps it. Throws `std::system_error` when the file cannot
  /// be read.
  [[nodiscard]] std::string output() const {
    static_assert(Set::Output::keeps_output,
                  "mirakuru: output() needs an output policy that keeps it, such as Capture");
    return service_.streams.out().text();
  }
  /// The same of standard error.
  [[nodiscard]] std::string err_output() const {
    static_assert(Set::Output::keeps_output,
                  "mirakuru: err_output() needs an output policy that keeps it, such as Capture");
    return service_.streams.err().text();
  }
  /// The command as one printable line.
  [[nodiscard]] const std::string& command() const noexcept { return service_.invocation.text(); }

  /// When the last start spawned the command, first tried each check and saw it hold, and was
  /// ready; and how often it tried each.
  [[nodiscard]] const Timeline& timeline() const noexcept { return service_.timeline; }
  /// Which promise the spawner gives: what ends with `stop()`, and what when this process dies.
  [[nodiscard]] static constexpr Guarantee guarantee() noexcept {
    if constexpr (requires { Set::Spawner::guarantee; })
      return Set::Spawner::guarantee;
    else
      return Guarantee::group_only;
  }
  /// What the last `stop()`, `kill()` or failed start had to force: the processes that were still
  /// there when the leader had ended, and needed a signal of their own. Kept until the next start.
  /// Only for a spawner that can tell, such as GuardedSpawner.
  [[nodiscard]] const std::vector<Straggler>& stragglers() const {
    static_assert(detail::TellsStragglers<typename detail::Service<Set>::Handle>,
                  "mirakuru: stragglers() needs a spawner that can tell, such as GuardedSpawner");
    return service_.stragglers;
  }

  // The Asio forms need `#include <mirakuru/async.hpp>`. Each runs on a strand of the token's
  // associated executor, so that any number of threads may run the context, and any number of
  // executors may be started on it at once. A token without an executor runs on
  // `asio::system_executor`, for which Asio makes threads. The executor must stay where it is until
  // the operation has completed, and no other member function is called meanwhile.

  /// Starts the command and completes when each check holds, as `start()` does.
  ///
  /// @par Completion Signature
  /// `void(std::exception_ptr)`: null, or the error that `start()` throws. An error carries a
  /// message and often a nested error, for which an `error_code` has no room.
  ///
  /// @par Per-Operation Cancellation
  /// Any type. The tree is ended by the kill signal; then the operation completes with
  /// `asio::error::operation_aborted`. Nothing is left running.
  template <class CompletionToken>
  auto async_start(CompletionToken&& token) {
    return initiate(std::forward<CompletionToken>(token),
                    [this](auto& loop) { return detail::StartOperation<Set>{service_, loop}; });
  }

  /// Ends the tree and completes when nothing of it is left, as `stop()` does.
  ///
  /// @par Completion Signature
  /// `void(std::exception_ptr)`: null, or the error that `stop()` throws.
  ///
  /// @par Per-Operation Cancellation
  /// Any type. SIGKILL follows at once; the operation then completes as it would have otherwise.
  template <class CompletionToken>
  auto async_stop(CompletionToken&& token) {
    return initiate(std::forward<CompletionToken>(token), [this](auto&) {
      return stop_operation(service_.signals.steps(), detail::ExitPolicy::check);
    });
  }

  /// Ends the tree by the strategy's kill signal, as `kill()` does.
  ///
  /// @par Completion Signature
  /// `void(std::exception_ptr)`: null, or the error that `kill()` throws.
  ///
  /// @par Per-Operation Cancellation
  /// Any type. SIGKILL follows at once; the operation then completes as it would have otherwise.
  template <class CompletionToken>
  auto async_kill(CompletionToken&& token) {
    return initiate(std::forward<CompletionToken>(token), [this](auto&) {
      return stop_operation(service_.kill_steps(), detail::ExitPolicy::ignore);
    });
  }

  /// Completes when the command has ended by itself, as `wait()` does.
  ///
  /// @par Completion Signature
  /// `void(std::exception_ptr)`: null.
  ///
  /// @par Per-Operation Cancellation
  /// Any type. The operation completes with `asio::error::operation_aborted`; the command runs on.
  template <class CompletionToken>
  auto async_wait(CompletionToken&& token) {
    return initiate(std::forward<CompletionToken>(token), [this](auto&) {
      return detail::WaitOperation<Set>{service_, detail::Clock::now()};
    });
  }

 private:
  detail::StopOperation<Set> stop_operation(std::span<const SignalStep> steps,
                                            detail::ExitPolicy policy,
                                            const std::vector<int>& accept = {}) {
    return {service_, detail::Clock::now(), steps, policy, accept};
  }
  Executor& end(std::span<const SignalStep> steps, detail::ExitPolicy policy,
                const std::vector<int>& accept = {}) {
    detail::run(stop_operation(steps, policy, accept), detail::PollLoop{});
    return *this;
  }

  template <class CompletionToken, class Make>
  static auto initiate(CompletionToken&& token, Make make) {
    static_assert(detail::HasAsync<Make>,
                  "mirakuru: the Asio forms need #include <mirakuru/async.hpp>");
    if constexpr (detail::HasAsync<Make>)
      return async_operation(detail::AsyncTag{}, std::forward<CompletionToken>(token),
                             std::move(make));
  }

  detail::Service<Set> service_;
};

template <class... Policies>
Executor(detail::ResolvedCommand, Policies...) -> Executor<Policies...>;

}  // namespace mirakuru

#include <mirakuru/executor.impl.hpp>
