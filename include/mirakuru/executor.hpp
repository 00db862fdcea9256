// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <exception>
#include <iosfwd>
#include <source_location>
#include <string_view>
#include <type_traits>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/budget/timeout.hpp>
#include <mirakuru/command.hpp>
#include <mirakuru/concepts.hpp>
#include <mirakuru/engine/loop.hpp>
#include <mirakuru/engine/policy_set.hpp>
#include <mirakuru/engine/service_calls.hpp>
#include <mirakuru/engine/shared_start.hpp>
#include <mirakuru/engine/start.hpp>
#include <mirakuru/engine/stop.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/fwd.hpp>
#include <mirakuru/input/held_open.hpp>
#include <mirakuru/limits/unlimited.hpp>
#include <mirakuru/output/capture.hpp>
#include <mirakuru/post_mortem/no_post_mortem.hpp>
#include <mirakuru/process.hpp>
#include <mirakuru/report/timeline.hpp>
#include <mirakuru/report/to_stderr.hpp>
#include <mirakuru/spawn/guarded.hpp>
#include <mirakuru/stop/signals.hpp>

namespace mirakuru {

namespace detail {
/// Gives the parts of the library an executor's data.
struct ServiceAccess {
  template <class... Policies>
  static Service<PolicySet<Policies...>>& of(Executor<Policies...>& executor) noexcept {
    return executor.service_;
  }
  template <class Any>
  static auto& of(Any& executor) noexcept {
    return executor.service();
  }
};

template <class E>
struct SetOfExecutor;
template <class... Policies>
struct SetOfExecutor<Executor<Policies...>> {
  using type = PolicySet<Policies...>;
};
/// The policies of an executor's type.
template <class E>
using SetOf = typename SetOfExecutor<E>::type;

/// Calls the body of `stopped()` while the executor's command does not run.
template <class E, class Body>
void call_stopped(E& executor, Body&& body, std::source_location where) {
  const bool was_running = executor.running();
  if (was_running) executor.stop();
  try {
    if constexpr (std::is_invocable_v<Body, E&>)
      std::forward<Body>(body)(executor);
    else
      std::forward<Body>(body)();
  } catch (...) {
    try {
      if (was_running) executor.start(where);
    } catch (const std::exception&) {  // the body's own exception is the one to be seen
    }
    throw;
  }
  if (was_running) executor.start(where);
}
}  // namespace detail

/// Starts a command, returns when it is ready, and ends it with all that it has started.
///
/// `Policies` are, in any order, at most one of each axis (spawner, budget, signal strategy, input,
/// output, limits, reporter, post-mortem), and any number of readiness checks, which run in the
/// order given. `Defaults` has the policies that are left out.
///
/// An executor is not thread-safe. It may be moved while no asynchronous operation of it is under
/// way. A function that returns `*this` returns an rvalue for an rvalue, so that
/// `auto server = TCPExecutor{...}.start();` moves the executor out.
template <class... Policies>
class Executor {  // without arguments no class member: that is an AnyExecutor, or a TCPExecutor
  using Set = detail::PolicySet<Policies...>;
  static_assert(Set::ok && Set::readable);

 public:
  /// Takes the command, and the values of policies in any order. One string is split as a shell's
  /// line; a braced list is the words. A check of the type that is not given is derived from one
  /// that is (TCP's port from HTTP's URL), or default-constructed.
  ///
  /// Throws `std::invalid_argument` for a command without words or one that cannot be split, for a
  /// number that is no signal (1 to `SIGRTMAX`), and for a negative budget or wait.
  template <class... Given>
  explicit(sizeof...(Given) == 0) Executor(detail::ResolvedCommand command, Given... given)
      : service_{detail::make_service<Set>(std::move(command),
                                           detail::hana::tuple<Given...>{std::move(given)...})} {}

  Executor(Executor&& other) noexcept : service_{std::move(other.service_)} {
    other.service_.process.reset();
  }
  /// Ends the command of this executor first, as the destructor does.
  Executor& operator=(Executor&& other) noexcept {
    if (this == &other) return *this;
    std::destroy_at(this);
    return *std::construct_at(this, std::move(other));
  }
  /// Ends the tree by the signal strategy and within the stop budget. Never throws: the reporter is
  /// told of an end that `stop()` would throw for, unless an error or `exit_code()` has told it.
  ~Executor() {
    if (!service_.process) return;
    try {
      end_by_strategy(detail::ExitPolicy::report);
    } catch (...) {
      service_.report_failed_stop();
    }
  }

  /// Starts the command and blocks until each check holds. Does nothing when it runs already.
  ///
  /// Throws `AlreadyRunning`, `SpawnError`, `ProcessExitedWithError`, `TimeoutExpired`, or an
  /// `ExecutorError` around the exception of a check. No process is left then, and the state of an
  /// earlier run is cleared. The messages name `where`, the place of the call.
  Executor& start(std::source_location where = std::source_location::current()) & {
    service_.where = where;
    detail::BlockingLoop<typename Set::Checks, typename Set::Watchers> loop;
    detail::run(detail::StartOf<Set>{service_, loop}, loop);
    return *this;
  }
  Executor&& start(std::source_location where = std::source_location::current()) && {
    return std::move(start(where));
  }
  template <class Rep, class Period>
  void start(std::chrono::duration<Rep, Period>) {
    static_assert(
        !sizeof(Rep),
        "mirakuru: start() takes no time; give the executor a TimeoutBudget{.start = 5s}");
  }

  /// Ends the tree by the signal strategy, and by SIGKILL at the end of the stop budget. Blocks
  /// until no process is left. Does nothing when nothing has been started.
  ///
  /// Throws `ProcessFinishedWithError` when the exit status of the leader is not accepted. Accepted
  /// are 0, an end by a signal of the strategy, 128 plus its number, and the strategy's `accept`.
  /// An end by SIGKILL after the budget is no error. Throws `ExecutorError` when a process survives
  /// SIGKILL for 10 s; stop() may then be called again.
  Executor& stop() & { return end_by_strategy(detail::ExitPolicy::check); }
  Executor&& stop() && { return std::move(stop()); }
  /// Stops by `signal` (1 to `SIGRTMAX`) in place of the strategy's. The exit codes in `accept` are
  /// good in this call, besides: `stop(SIGQUIT, {3})`. Throws `std::invalid_argument` for a number
  /// that is no signal, also when nothing runs.
  Executor& stop(int signal, const std::vector<int>& accept = {}) & {
    const auto steps = detail::single_step(signal);
    return end({steps}, detail::ExitPolicy::check, accept);
  }
  Executor&& stop(int signal, const std::vector<int>& accept = {}) && {
    return std::move(stop(signal, accept));
  }

  /// Ends the tree by the strategy's kill signal, or by `signal` (1 to `SIGRTMAX`), and by SIGKILL
  /// at the end of the stop budget. Blocks until no process is left. No exit status is an error.
  ///
  /// Throws `std::invalid_argument` for a number that is no signal, also when nothing runs, and
  /// `ExecutorError` when a process survives SIGKILL for 10 s.
  ///
  /// The reporter is told of a bad end before the call.
  Executor& kill() & { return kill(service_.signals.kill); }
  Executor&& kill() && { return std::move(kill()); }
  Executor& kill(int signal) & {
    const auto steps = detail::single_step(signal);
    return end({steps}, service_.kill_policy());
  }
  Executor&& kill(int signal) && { return std::move(kill(signal)); }

  /// Blocks until the leader has ended by itself, without a limit. Returns at once if it has ended
  /// already. No exit status is an error here: `exit_code()` tells it, and `stop()` judges it.
  ///
  /// Throws `ExecutorError` if it has not been started.
  Executor& wait() & {
    detail::run(detail::WaitOperation{service_, detail::Clock::now()}, detail::PollLoop{});
    return *this;
  }
  Executor&& wait() && { return std::move(wait()); }
  /// The same within `timeout`, zero or more. Throws `TimeoutExpired` at its end; the process runs
  /// on.
  Executor& wait(Duration timeout) & {
    detail::run(detail::WaitOperation{service_, detail::Clock::now(), timeout}, detail::PollLoop{});
    return *this;
  }
  Executor&& wait(Duration timeout) && { return std::move(wait(timeout)); }

  /// Throws `ProcessExitedWithError`, with the exit code and the last output, if the service has
  /// ended by itself: its leader has failed, or no process of the tree lives. Its processes are
  /// left as they are. Throws `ExecutorError` if it has not been started or has been stopped.
  ///
  /// Does not wait for the service. With `PostMortem` it may run gdb for a crash that it finds.
  Executor& check_alive() & {
    if (!service_.process) service_.throw_not_started();
    if (!service_.alive() || service_.exit_code.value_or(0) != 0)
      service_.throw_ended(detail::Clock::now());
    return *this;
  }
  Executor&& check_alive() && { return std::move(check_alive()); }

  /// Blocks until a check holds, or a predicate: `predicate()` or `predicate(const Process&)`,
  /// which returns `bool` or `Readiness`. A predicate is asked after pauses that adapt. A check
  /// that reads the output, such as `BannerCheck`, looks at the output from the call on.
  ///
  /// `timeout`: the start budget anew if left out; zero or less: it is asked once. Throws
  /// `TimeoutExpired` at the end of it, and `ProcessExitedWithError` at once when the process has
  /// ended: when no process is left, or a second after the leader has failed. The check is asked
  /// once more before. The tree has been ended then. Throws `ExecutorError` if the command has not
  /// been started. An exception of the check passes through, and the command runs on.
  template <class Predicate>
  Executor& wait_for(Predicate predicate, Duration timeout) & {
    auto check = detail::check_of_wait<Set>(std::move(predicate));
    detail::BlockingLoop<detail::hana::basic_tuple<decltype(check)>> loop;
    detail::run(detail::StartOperation{service_, detail::CheckRef{check}, timeout, loop}, loop);
    return *this;
  }
  template <class Predicate>
  Executor& wait_for(Predicate predicate) & {
    return wait_for(std::move(predicate), service_.budget.start);
  }
  template <class Predicate, class... Timeout>
  Executor&& wait_for(Predicate predicate, Timeout... timeout) && {
    return std::move(wait_for(std::move(predicate), timeout...));
  }

  /// Stops the command, calls `body()` or `body(executor)`, and starts it again, also when the body
  /// throws. The body's exception then passes through, even if the start fails. A command that was
  /// not running is not started. An exception of `stop()` passes through without a call of the
  /// body.
  template <class Body>
  Executor& stopped(Body&& body, std::source_location where = std::source_location::current()) & {
    detail::call_stopped(*this, std::forward<Body>(body), where);
    return *this;
  }
  template <class Body>
  Executor&& stopped(Body&& body, std::source_location where = std::source_location::current()) && {
    return std::move(stopped(std::forward<Body>(body), where));
  }

  /// Writes to the standard input, and blocks until the command or its pipe has taken all. Needs
  /// the input policy `HeldOpen`.
  ///
  /// Throws `ExecutorError` if nobody reads it any more, or if it has been closed. Throws
  /// `TimeoutExpired` after `timeout`; the process runs on. SIGPIPE does not reach the test.
  Executor& write(std::string_view text, Duration timeout = std::chrono::seconds{10}) & {
    static_assert(Set::Input::writable,
                  "mirakuru: write() needs an input policy that is held open, such as HeldOpen");
    if (!service_.process) service_.throw_not_started();
    service_.write(text, timeout);
    return *this;
  }
  Executor&& write(std::string_view text, Duration timeout = std::chrono::seconds{10}) && {
    return std::move(write(text, timeout));
  }
  /// Ends the standard input: the command reads the end of the file. Does nothing when it has ended
  /// already. Needs the input policy `HeldOpen`.
  Executor& close_input() & {
    static_assert(
        Set::Input::writable,
        "mirakuru: close_input() needs an input policy that is held open, such as HeldOpen");
    service_.close_input(std::chrono::seconds{10});
    return *this;
  }
  Executor&& close_input() && { return std::move(close_input()); }

  /// Stops all processes of the tree, and returns when they have stopped; those of `DirectSpawner`
  /// within its process group. `stop()`, `kill()`, the destructor and the owner's death end a
  /// paused tree in time.
  ///
  /// Throws `ExecutorError` if nothing runs, or if a process goes on for 5 s. Rests on SIGSTOP, or
  /// on the freezer of a control group.
  Executor& pause() & {
    if (!service_.alive()) service_.throw_not_running();
    service_.paused = true;
    if (!service_.pause()) service_.throw_not_paused();
    return *this;
  }
  Executor&& pause() && { return std::move(pause()); }
  /// Lets a paused tree go on. Does nothing otherwise. Rests on SIGCONT.
  Executor& resume() & {
    if (std::exchange(service_.paused, false) && service_.alive()) service_.resume();
    return *this;
  }
  Executor&& resume() && { return std::move(resume()); }

  /// True from the start until no process of the tree lives.
  bool running() { return service_.alive(); }
  /// The leader's process id while it has not been stopped; 0 otherwise.
  [[nodiscard]] pid_t pid() const noexcept { return service_.pid(); }
  /// The leader's exit status once it has ended; minus the signal that ended it. Kept until the
  /// next start, also one that fails.
  [[nodiscard]] std::optional<int> exit_code() {
    service_.alive();
    service_.told |= service_.exit_code.has_value();
    return service_.exit_code;
  }
  /// The standard output of the last run so far; both streams if they share a file. Needs an output
  /// policy that keeps it. Throws `std::system_error` when the file cannot be read.
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
  /// The TCP sockets that the tree listens on now, by port and address.
  ///
  /// Throws `ExecutorError` if nothing runs, and if /proc tells nothing. Where /proc hides a part,
  /// such as another user's process, the part is missing. Rests on sock_diag(7) and /proc/PID/fd.
  [[nodiscard]] std::vector<ListeningSocket> ports() {
    return service_.listening(service_.alive() ? pid() : 0, service_.guardian());
  }
  /// The TCP port of the service: the one that a check with port 0 has found in the last start, or
  /// the first that a check has connected to, or else the only one of `ports()`.
  ///
  /// Throws `ExecutorError` if there are none or several, and as `ports()` does.
  [[nodiscard]] std::uint16_t port() {
    return service_.only_port(service_.alive() ? pid() : 0, service_.guardian());
  }
  /// A value that the program published that has started the shared service: `Shared::publish`.
  ///
  /// Throws `ExecutorError` for a name that it has not published, with those that it has, and if
  /// the service has not been started or joined. Needs the policy `Shared`.
  [[nodiscard]] const std::string& published(const std::string& name) const {
    static_assert(Set::Sharing::shares,
                  "mirakuru: published() needs the policy Shared, which publishes values");
    if (!service_.has_started()) service_.throw_not_started();
    return service_.published(service_.shared_run.values.published, name);
  }
  /// The command as one printable line.
  [[nodiscard]] const std::string& command() const noexcept { return service_.command.text(); }

  /// Prints the command, the leader's process id and the state: "redis-server (pid 42, running)".
  template <class Traits>
  friend std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& out,
                                                      const Executor& executor) {
    const auto text = executor.service_.describe(executor.pid());
    return out.write(text.data(), static_cast<std::ptrdiff_t>(text.size()));
  }

  /// The moments of the last start, and how often each check was tried.
  [[nodiscard]] const Timeline& timeline() const noexcept { return service_.timeline; }
  /// The spawner's promise: which processes end with `stop()`, and with the death of this process.
  [[nodiscard]] static constexpr Guarantee guarantee() noexcept {
    if constexpr (requires { Set::Spawner::guarantee; })
      return Set::Spawner::guarantee;
    else
      return Guarantee::group_only;
  }
  /// The processes that were still there when the leader had ended, and needed a signal of their
  /// own in the last `stop()`, `kill()` or failed start. Kept until the next start. Needs a spawner
  /// that can tell, such as GuardedSpawner.
  [[nodiscard]] const std::vector<Straggler>& stragglers() const {
    static_assert(detail::TellsStragglers<typename detail::Service<Set>::Handle>,
                  "mirakuru: stragglers() needs a spawner that can tell, such as GuardedSpawner");
    return service_.stragglers;
  }

  // The Asio forms need <mirakuru/async.hpp>. Each runs on a strand of the token's associated
  // executor; a token without one runs on `asio::system_executor`, for which Asio makes threads.
  // The executor stays where it is until the operation has completed, and no other member function
  // is called meanwhile. An `error_code` has no room for the message of an error: so an
  // exception_ptr.

  /// Starts the command and completes when each check holds, as `start()` does.
  ///
  /// @par Completion Signature `void(std::exception_ptr)`
  /// @par Per-Operation Cancellation
  /// Any type. The kill signal ends the tree; then the operation completes with
  /// `asio::error::operation_aborted`. No process is left.
  template <class CompletionToken>
  auto async_start(CompletionToken&& token,
                   std::source_location where = std::source_location::current()) {
    return initiate(std::forward<CompletionToken>(token), [this, where](auto& loop) {
      service_.where = where;
      return detail::StartOf<Set>{service_, loop};
    });
  }

  /// Ends the tree and completes when no process is left, as `stop()` does.
  ///
  /// @par Completion Signature `void(std::exception_ptr)`
  /// @par Per-Operation Cancellation
  /// Any type. SIGKILL follows at once; the operation completes as it would have otherwise.
  template <class CompletionToken>
  auto async_stop(CompletionToken&& token) {
    return initiate(std::forward<CompletionToken>(token), [this](auto&) {
      const auto& steps = service_.signals.steps();
      return stop_operation(plan_by_strategy(steps), detail::ExitPolicy::check);
    });
  }

  /// Ends the tree by the strategy's kill signal, as `kill()` does.
  ///
  /// @par Completion Signature `void(std::exception_ptr)`
  /// @par Per-Operation Cancellation
  /// Any type. SIGKILL follows at once; the operation completes as it would have otherwise.
  template <class CompletionToken>
  auto async_kill(CompletionToken&& token) {
    return initiate(std::forward<CompletionToken>(token), [this](auto&) {
      const auto steps = service_.kill_steps();
      return stop_operation({steps}, service_.kill_policy());
    });
  }

  /// Completes when the command has ended by itself, as `wait()` does.
  ///
  /// @par Completion Signature `void(std::exception_ptr)`
  /// @par Per-Operation Cancellation
  /// Any type. The operation completes with `asio::error::operation_aborted`; the command runs on.
  template <class CompletionToken>
  auto async_wait(CompletionToken&& token) {
    return initiate(std::forward<CompletionToken>(token), [this](auto&) {
      return detail::WaitOperation{service_, detail::Clock::now()};
    });
  }

  /// Completes when a check or a predicate holds, as `wait_for()` does; without `timeout`, within
  /// the start budget.
  ///
  /// @par Completion Signature `void(std::exception_ptr)`
  /// @par Per-Operation Cancellation
  /// Any type. The operation completes with `asio::error::operation_aborted`; the command runs on.
  template <class Predicate, class CompletionToken>
  auto async_wait_for(Predicate predicate, Duration timeout, CompletionToken&& token) {
    return initiate(std::forward<CompletionToken>(token),
                    [this, check = detail::check_of_wait<Set>(std::move(predicate)),
                     timeout](auto& loop) mutable {
                      return detail::StartOperation{service_, detail::CheckRef{check}, timeout,
                                                    loop};
                    });
  }
  template <class Predicate, class CompletionToken>
  auto async_wait_for(Predicate predicate, CompletionToken&& token) {
    return async_wait_for(std::move(predicate), service_.budget.start,
                          std::forward<CompletionToken>(token));
  }

 private:
  /// The strategy's signals, and its own way to stop before them.
  detail::StopPlan plan_by_strategy(std::span<const SignalStep> steps) const {
    return {steps, service_.head_start(), true};
  }
  detail::StopOperation stop_operation(const detail::StopPlan& plan, detail::ExitPolicy policy) {
    return {service_, detail::Clock::now(), plan, policy};
  }
  Executor& end_by_strategy(detail::ExitPolicy policy) {
    const auto& steps = service_.signals.steps();
    return end(plan_by_strategy(steps), policy);
  }
  Executor& end(const detail::StopPlan& plan, detail::ExitPolicy policy,
                const std::vector<int>& accept = {}) {
    detail::run_stop(service_, plan, policy, accept);
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

  friend struct detail::ServiceAccess;

  detail::Service<Set> service_;
};

template <class... Policies>
Executor(detail::ResolvedCommand, Policies...) -> Executor<Policies...>;

namespace detail {
template <class First>
struct NoCommand;
}  // namespace detail

/// Says that the first argument is no command.
template <class First>
class Executor<detail::NoCommand<First>> {
 public:
  template <class... Rest>
  Executor(const First&, const Rest&...) {
    static_assert(sizeof(First) == 0,
                  "mirakuru: the command comes first: a line, words in braces or a range of them, "
                  "a Command or a Shell; this argument is none of them");
  }
};
template <class First, class... Rest>
  requires(!std::convertible_to<First, detail::ResolvedCommand>)
Executor(First, Rest...) -> Executor<detail::NoCommand<First>>;

}  // namespace mirakuru
