// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>
#include <array>
#include <memory>
#include <optional>
#include <source_location>
#include <span>

#include <boost/hana/for_each.hpp>

#include <mirakuru/budget/environment.hpp>
#include <mirakuru/command.hpp>
#include <mirakuru/engine/policy_set.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/net/ports.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/os/file_changes.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/output/streams.hpp>
#include <mirakuru/process.hpp>
#include <mirakuru/report/event.hpp>
#include <mirakuru/report/observer.hpp>
#include <mirakuru/report/timeline.hpp>
#include <mirakuru/sharing/not_shared.hpp>
#include <mirakuru/sharing/process.hpp>
#include <mirakuru/sharing/shared.hpp>
#include <mirakuru/spawn/launch.hpp>
#include <mirakuru/spawn/request.hpp>

namespace mirakuru::detail {

/// The part of an executor that does not depend on its policies: the command and its last run.
struct ServiceBase : Observed {
  explicit ServiceBase(ResolvedCommand resolved);
  ServiceBase(ServiceBase&&) noexcept;
  ~ServiceBase();

  ResolvedCommand command;
  std::vector<std::string> wrap;  // words in front of it
  OutputStreams streams = {};
  UniqueFd input = {};          // the writing end of standard input, held open
  bool input_ends_line = true;  // the last byte written to it has ended a line
  std::string keep_dir = {};    // for a copy of the output with each error
  std::vector<ResourceLimit> limits = {};
  std::string stop_note = {};  // why the command that should stop it has failed
  pid_t last_pid = 0;          // of the leader, also after its end
  pid_t owner = ::getpid();    // a fork of the owner has a copy of this, and must not report
  bool paused = false;
  bool joined = false;  // another program has started it
  Timeline timeline = {};
  std::source_location where = {};  // of the call of start()
  std::optional<int> exit_code = {};
  std::vector<Straggler> stragglers = {};
  std::string trouble = {};  // of the spawner, such as the end of a guardian
  bool refused = false;      // a process may not be signalled
  std::string backtrace = {}, reports = {}, post_mortem_note = {};  // of a post-mortem
  bool examined = false;     // the leader has ended, and there is its backtrace
  bool told = false;         // the user knows how the process has ended
  bool waited_for = false;   // wait() has seen the end
  FileChanges changes = {};  // to the files that checks follow
  std::uint16_t port = 0;    // the first TCP port that a check has connected to; 0 for none

  /// Clears the state of the last run.
  void reset_last_run();
  /// Makes the spawner's request for a run. `from`: the ends of standard input, of which the
  /// command's stays open until the spawn.
  [[nodiscard]] LaunchRequest prepare(InputStream& from, bool input_is_terminal);
  /// Writes to the standard input within `timeout`. Throws `ExecutorError` if nobody reads it any
  /// more, and `TimeoutExpired`.
  void write(std::string_view text, std::chrono::nanoseconds timeout);
  /// Ends the standard input. A terminal that is full may take `timeout`; it throws as write()
  /// does.
  void close_input(std::chrono::nanoseconds timeout);
  /// Copies the output to `keep_dir`. Returns a note with the place; empty for none.
  [[nodiscard]] std::string keep_output() const noexcept;
  /// The TCP sockets that the tree listens on now. `leader`: 0 if no process lives. Throws
  /// `ExecutorError` then, and if /proc tells nothing.
  [[nodiscard]] std::vector<ListeningSocket> listening(pid_t leader, pid_t guardian) const;
  /// The port that a check has found, or else the only one that the tree listens on. Throws
  /// `ExecutorError` if there are none or several.
  [[nodiscard]] std::uint16_t only_port(pid_t leader, pid_t guardian) const;
  /// The name of the command in front of lines.
  [[nodiscard]] std::string label() const;
  /// Tells the observer of a bad end that nobody has heard of. True if the user is going to hear.
  [[nodiscard]] bool tell_observer(bool by_itself) noexcept;
  /// Closes the descriptors of a run.
  void close();
  /// True from the spawn on, also after the end. False if the last start has spawned nothing.
  [[nodiscard]] bool has_started() const noexcept { return timeline.spawned != TimePoint{}; }
  /// Throws `ExecutorError`, also for one that has been stopped.
  [[noreturn]] void throw_not_started() const;
  /// Throws `ExecutorError`, also for one that has ended.
  [[noreturn]] void throw_not_running() const;
  /// Throws `ExecutorError` for a tree that does not stop.
  [[noreturn]] void throw_not_paused() const;
  /// Throws `ProcessExitedWithError` for a process that has ended by itself.
  [[noreturn]] void throw_ended(TimePoint now);
  /// Throws `TimeoutExpired` for a process that has not ended by itself in time.
  [[noreturn]] void throw_still_running(std::chrono::nanoseconds waited,
                                        std::chrono::nanoseconds limit) const;
  /// Throws the user's error for the current exception, a `std::system_error` of the spawner.
  [[noreturn]] void throw_spawn_error(std::chrono::nanoseconds start_budget);
  /// True if the leader has ended, in a way that `stop()` throws for.
  [[nodiscard]] bool has_ended_badly(std::span<const SignalStep> steps,
                                     const std::vector<int>& accept) const;
  /// The event of a bad end, and of a stop that has thrown.
  [[nodiscard]] Event bad_end(bool by_itself) const;
  [[nodiscard]] Event failed_stop(const std::exception& error) const;
  /// True if the end is bad whatever the exit code.
  [[nodiscard]] bool has_trouble() const noexcept { return !trouble.empty() || !reports.empty(); }
  /// The command, `pid` (0 for none) and the state. The state is the newest without a change to it.
  [[nodiscard]] std::string describe(pid_t pid) const;
  /// Keeps the news of a process's handle.
  void record(const std::vector<Straggler>& news);
  void record(const std::string& news);
  /// The value of a name. Throws `ExecutorError` that lists the known ones.
  [[nodiscard]] const std::string& published(const std::map<std::string, std::string>& values,
                                             const std::string& name) const;
  /// The facts of the command that are equal in all programs that share it.
  [[nodiscard]] SharedFacts facts_of_command() const;
  /// The facts for an error's message, at the moment `now`.
  [[nodiscard]] ErrorContext error_context(TimePoint now, std::string awaited = {},
                                           std::string reason = {}) const;
};

/// True if `stop()` accepts an exit code: 0, one of `accept`, an end by one of `signals`, or 128
/// plus its number.
[[nodiscard]] bool is_accepted(int exit_code, const std::vector<int>& accept,
                               const std::vector<int>& signals);
/// One signal for all of the budget. Throws `std::invalid_argument` for a number that is none.
[[nodiscard]] std::array<SignalStep, 1> single_step(int signal);
/// True for the end by a signal that dumps core by default, and for 128 plus its number, the exit
/// code of a shell whose child has ended so. Source: signal(7).
[[nodiscard]] bool leaves_core(int exit_code) noexcept;
/// Throws `std::invalid_argument` for a number that is no signal's, and for a negative wait.
void check_signals(std::span<const SignalStep> steps);
/// Throws `std::invalid_argument` that begins with `name` for a negative span.
void not_negative(std::chrono::nanoseconds span, const char* name);
/// Throws `std::invalid_argument` for an empty name, a negative time, and values that are too long.
void check_shared(const Shared& shared);
/// Throws `std::invalid_argument` for a negative span.
void check_budget(std::chrono::nanoseconds start, std::chrono::nanoseconds stop);

// The optional members of a spawner's handle.
template <class Handle>
concept TellsStragglers = requires(const Handle& handle) {
  { handle.stragglers() } -> std::convertible_to<const std::vector<Straggler>&>;
};
template <class Handle>
concept TellsTrouble = requires(const Handle& handle) {
  { handle.trouble() } -> std::convertible_to<std::string>;
};

template <class Handle>
concept TellsRefusal = requires(const Handle& handle) {
  { handle.refused() } -> std::same_as<bool>;
};

template <class Handle>
concept TellsFar = requires(const Handle& handle) {
  { handle.far() } -> std::same_as<const FarState*>;
};

template <class Handle>
concept TellsGuardian = requires(const Handle& handle) {
  { handle.guardian() } -> std::same_as<pid_t>;
};

/// The treatment of an end that is not accepted: throw it, tell the reporter, or ignore it.
enum class ExitPolicy { check, report, ignore };

/// An executor's data.
template <class Set>
struct Service : ServiceBase {
  static constexpr bool is_shared = Set::Sharing::shares;
  using OwnHandle = decltype(std::declval<const typename Set::Spawner&>().spawn(
      std::declval<const LaunchRequest&>()));
  using Handle = std::conditional_t<is_shared, SharedProcess<OwnHandle>, OwnHandle>;

  [[no_unique_address]] typename Set::Spawner spawner;
  [[no_unique_address]] typename Set::Budget budget;
  [[no_unique_address]] typename Set::SignalStrategy signals;
  [[no_unique_address]] typename Set::Input input_policy;
  [[no_unique_address]] typename Set::Output output;
  [[no_unique_address]] typename Set::Limits limits_policy;
  [[no_unique_address]] typename Set::Reporter reporter;
  [[no_unique_address]] typename Set::PostMortem post_mortem;
  [[no_unique_address]] typename Set::Sharing sharing;
  [[no_unique_address]] typename Set::Checks checks;
  [[no_unique_address]] typename Set::Watchers watchers;
  std::optional<Handle> process = {};
  [[no_unique_address]] typename Set::PostMortem::Run remains = {};
  [[no_unique_address]] std::conditional_t<is_shared, SharedRun, NotSharedRun> shared_run = {};

  void spawn() {
    try {
      streams = open_streams(output);
      be_observed(&look);
      if constexpr (requires { output.keep_on_failure; }) keep_dir = output.keep_on_failure;
      limits = limits_policy.limits();
      auto from = input_policy.open();
      auto request = prepare(from, std::is_same_v<typename Set::Input, Defaults::Input>);
      const auto& steps = signals.steps();
      request.steps = {std::begin(steps), std::end(steps)};
      request.stop_budget = budget.stop;
      request.start_budget = budget.start;
      request.head_start = head_start();
      request.still_waits = [this](std::chrono::nanoseconds waited) {
        report(StillWaiting{command.text(), "its execution", {}, waited, budget.start, {}});
      };
      prepare_all(checks, request);
      prepare_all(watchers, request);
      remains = typename Set::PostMortem::Run{post_mortem, request};
      post_mortem_note = remains.note();
      if constexpr (is_shared)
        spawn_shared(*this, request);
      else
        process.emplace(spawner.spawn(request));
      last_pid = process->pid();
      if (observer() != nullptr) observer()->started(*this, last_pid);
      streams.close_terminal();
    } catch (const std::system_error&) {
      throw_spawn_error(budget.start);
    }
  }

  /// Takes the place of the spawn, with a handle of a process that another program has started.
  void take_over(OutputStreams its_streams, auto handle) {
    streams = std::move(its_streams);
    be_observed(&look);
    if constexpr (requires { output.keep_on_failure; }) keep_dir = output.keep_on_failure;
    limits = limits_policy.limits();
    process.emplace(std::move(handle));
    last_pid = process->pid();
    if (observer() != nullptr) observer()->started(*this, last_pid);
  }

  /// Lets checks change the request.
  template <class Checks>
  void prepare_all(const Checks& all, LaunchRequest& request) {
    hana::for_each(all, [&](const auto& check) {
      if constexpr (requires { check.prepare(request); }) {
        try {
          check.prepare(request);
        } catch (...) {
          error_context(Clock::now(), name_of(check)).throw_check_failed();
        }
      }
    });
  }

  /// The time from the begin of a stop to its first signal.
  [[nodiscard]] std::chrono::nanoseconds head_start() const {
    if constexpr (ClosesInput<typename Set::SignalStrategy> ||
                  StopsByCommand<typename Set::SignalStrategy>) {
      const std::chrono::nanoseconds wait = signals.wait, stop = budget.stop;
      return wait == std::chrono::nanoseconds::zero() ? stop / 2 : wait;
    }
    return {};
  }

  /// Stops the whole tree. False if that takes too long.
  bool pause() {
    if constexpr (requires { process->pause(); }) return process->pause();
    process->signal(SIGSTOP);
    return true;
  }
  /// Lets it go on.
  void resume() {
    if constexpr (requires { process->resume(); })
      process->resume();
    else
      process->signal(SIGCONT);
  }

  /// The steps of `kill()`, and of a start that has failed.
  [[nodiscard]] std::array<SignalStep, 1> kill_steps() const { return single_step(signals.kill); }

  /// True while a process of the tree lives. Keeps the exit status, and the handle's other news.
  bool alive() {
    if (!process) return false;
    const bool lives = look_at_process();
    exit_code = process->exit_code();
    if constexpr (TellsStragglers<Handle>) record(process->stragglers());
    if constexpr (TellsTrouble<Handle>) record(process->trouble());
    if constexpr (TellsRefusal<Handle>) refused = process->refused();
    if constexpr (!std::is_empty_v<typename Set::PostMortem::Run>) examine(lives);
    return lives;
  }
  /// A command on another machine may turn out later not to be executed.
  bool look_at_process() {
    if constexpr (runs_here<typename Set::Spawner>) return process->alive();
    try {
      return process->alive();
    } catch (const SpawnFailure&) {
      throw_spawn_error(budget.start);
    }
  }
  /// The state of a command on another machine; null for one that runs here.
  [[nodiscard]] const FarState* far() const {
    if constexpr (TellsFar<Handle>)
      if (process) return process->far();
    return nullptr;
  }
  /// For an observer: asks for the fate, and reports a bad end that nobody has heard of.
  static Fate look(Observed& service) {
    auto& self = static_cast<Service&>(service);
    if (!self.process || self.told) return Fate::stopped;
    const bool lives = self.alive();
    if (!self.ended_badly())
      return !lives ? Fate::ended : self.exit_code ? Fate::headless : Fate::running;
    self.report_end(true);
    return Fate::ended_badly;
  }
  /// Looks at the remains when the leader has ended, and again when its tree has.
  void examine(bool lives) {
    if (!exit_code || (examined && lives)) return;
    reports = remains.reports();
    if (!std::exchange(examined, true) && leaves_core(*exit_code) && ended_badly())
      backtrace = remains.backtrace(process->pid());
  }

  /// The process above the tree; 0 for none.
  [[nodiscard]] pid_t guardian() const {
    if constexpr (TellsGuardian<Handle>)
      if (process) return process->guardian();
    return 0;
  }

  /// Tells the reporter, but not in a fork of the owner.
  void report(const Event& event) noexcept {
    if (::getpid() != owner) return;
    try {
      reporter(event);
    } catch (...) {  // it must not change the course of things
    }
  }
  /// True unless the reporter says that it wants no steps of a run.
  [[nodiscard]] bool reports_steps() const noexcept {
    if constexpr (requires { static_cast<bool>(reporter.wants_steps()); }) {
      try {
        return static_cast<bool>(reporter.wants_steps());
      } catch (...) {  // it must not change the course of things
      }
    }
    return true;
  }
  /// Reports an end that `stop()` would throw for, and that nobody has heard of yet.
  void report_end(bool by_itself) {
    if (std::exchange(told, true)) return;
    // In a failed test it would say the same twice.
    const bool is_told = tell_observer(by_itself);
    if (!is_told || !std::is_same_v<typename Set::Reporter, Defaults::Reporter>)
      report(bad_end(by_itself));
  }
  /// Reports that a stop has thrown; the first line of its message is the reason.
  void report_failed_stop(const std::exception& error) { report(failed_stop(error)); }
  /// True if the leader has ended, in a way that `stop()` throws for.
  [[nodiscard]] bool ended_badly() const {
    const auto& steps = signals.steps();
    return has_ended_badly(steps, signals.accept);
  }

  /// A bad end before a `kill()` is told; one by it is not.
  [[nodiscard]] ExitPolicy kill_policy() {
    return !alive() || exit_code ? ExitPolicy::report : ExitPolicy::ignore;
  }
  /// Drops the handle of a process that is gone.
  void clear() {
    process.reset();
    close();
  }
};

/// An executor's data, from the values that its constructor was given.
template <class Set, class... Given>
Service<Set> make_service(ResolvedCommand command, hana::tuple<Given...> given) {
  [[maybe_unused]] constexpr bool accepted =
      (CheckAccepted<Given, Set, Given...>::ok && ... && true);
  // All values of a tuple are there before the first one is moved, for others may be derived from
  // it.
  const auto values = [&given]<class Tuple, class Types>(hana::basic_type<Tuple>, Types) {
    return hana::unpack(Numbered<Types>{}, [&given](auto... slots) {
      return
          [](auto&&... all) { return Tuple{std::move(all)...}; }(value_for<Set>(slots, given)...);
    });
  };
  auto service = hana::unpack(Numbered<typename Set::Single>{}, [&](auto... slots) {
    return Service<Set>{ServiceBase{std::move(command)}, value_for<Set>(slots, given)...,
                        values(hana::type_c<typename Set::Checks>, typename Set::CheckTypes{}),
                        values(hana::type_c<typename Set::Watchers>, typename Set::WatcherTypes{})};
  });
  if constexpr (std::is_same_v<typename Set::Budget, Defaults::Budget>)
    if (service.budget.start == typename Set::Budget{}.start)
      service.budget.start = start_timeout_of_environment().value_or(service.budget.start);
  check_budget(service.budget.start, service.budget.stop);
  // A debugger or Valgrind takes its time.
  if constexpr (requires { service.budget.start = std::chrono::nanoseconds{}; })
    if (const std::chrono::nanoseconds start = service.budget.start; !service.wrap.empty())
      service.budget.start = start < std::chrono::nanoseconds::max() / 20
                                 ? start * 20
                                 : std::chrono::nanoseconds::max();
  check_signals(service.signals.steps());
  not_negative(service.head_start(), "the wait before the first signal");
  (void)service.kill_steps();  // checks its signal, too
  (void)service.limits_policy.limits();
  if constexpr (Set::Sharing::shares) check_shared(service.sharing);
  return service;
}

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/engine/service.ipp>
#endif
