// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>
#include <array>
#include <csignal>
#include <memory>
#include <optional>
#include <source_location>
#include <span>

#include <boost/hana/for_each.hpp>
#include <boost/hana/size.hpp>

#include <mirakuru/budget/environment.hpp>
#include <mirakuru/command.hpp>
#include <mirakuru/engine/check_ref.hpp>
#include <mirakuru/engine/policy_set.hpp>
#include <mirakuru/engine/stop_command.hpp>
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

struct ServiceBase;

/// The treatment of an end that is not accepted: throw it, tell the reporter, or ignore it.
enum class ExitPolicy { check, report, ignore };

/// The times of the budget and of the signal strategy, and its signal for `kill()`.
struct Terms {
  std::chrono::nanoseconds start, stop;
  std::chrono::nanoseconds head_start;  ///< from the begin of a stop to its first signal
  int kill;
};

/// The functions of a type of handle. All but the first two need a process.
struct ProcessCalls {
  bool (*exists)(const ServiceBase& service);
  void (*clear)(ServiceBase& service);
  bool (*look)(ServiceBase& service);
  pid_t (*pid)(const ServiceBase& service);
  int (*event)(const ServiceBase& service);
  void (*signal)(ServiceBase& service, int number, Scope scope);
  void (*resume)(ServiceBase& service);
  pid_t (*guardian)(const ServiceBase& service);
  const FarState* (*far)(const ServiceBase& service);
  bool (*leave)(ServiceBase& service);  ///< null: nobody else uses it
};

/// The functions of an executor's type. The operations of all executors call them by this table, so
/// their code is there once.
struct ServiceCalls {
  const ProcessCalls* process;
  std::span<const bool> valid_after_exit;  ///< for each check
  std::size_t of_spawn, watchers;          ///< checks that are a part of the spawn; watchers
  bool default_reporter;
  void (*spawn)(ServiceBase& service);
  bool (*alive)(ServiceBase& service);
  CheckRef (*check)(ServiceBase& service, std::size_t at);
  WatcherRef (*watcher)(ServiceBase& service, std::size_t at);
  Terms (*terms)(const ServiceBase& service);
  std::vector<int> (*accept)(const ServiceBase& service);
  bool (*ended_badly)(const ServiceBase& service);
  void (*report)(ServiceBase& service, const Event& event);
  bool (*wants_steps)(const ServiceBase& service);                       ///< null: yes
  void (*add_place)(const ServiceBase& service, ProbeContext& context);  ///< null: it runs here
  /// Null: signals alone. Throws `ExecutorError` for an input that cannot be closed.
  std::unique_ptr<StopWay> (*stop_way)(ServiceBase& service);
};

/// The part of an executor that does not depend on its policies: the command and its last run.
struct ServiceBase : Observed {
  explicit ServiceBase(ResolvedCommand resolved, const ServiceCalls* of_type = nullptr);
  ServiceBase(ServiceBase&&) noexcept;
  ~ServiceBase();

  const ServiceCalls* calls;  // of the executor's type
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

  // Asked of the executor's type.

  void spawn() { calls->spawn(*this); }
  /// True while a process of the tree lives. Keeps the exit status, and the handle's other news.
  bool alive() { return calls->alive(*this); }
  [[nodiscard]] bool has_process() const { return calls->process->exists(*this); }
  /// The leader; 0 without a process.
  [[nodiscard]] pid_t pid() const { return has_process() ? calls->process->pid(*this) : 0; }
  /// The process's descriptor; -1 for none.
  [[nodiscard]] int event() const { return has_process() ? calls->process->event(*this) : -1; }
  void signal(int number, Scope scope) { calls->process->signal(*this, number, scope); }
  /// Lets a tree that has been stopped go on.
  void resume() { calls->process->resume(*this); }
  /// The process above the tree; 0 for none.
  [[nodiscard]] pid_t guardian() const {
    return has_process() ? calls->process->guardian(*this) : 0;
  }
  /// Leaves the tree, if others use it.
  bool leave() {
    return calls->process->leave != nullptr && alive() && calls->process->leave(*this);
  }
  /// Drops the handle of a process that is gone.
  void clear();
  [[nodiscard]] CheckRef check(std::size_t at) { return calls->check(*this, at); }
  [[nodiscard]] WatcherRef watcher(std::size_t at) { return calls->watcher(*this, at); }
  [[nodiscard]] Terms terms() const { return calls->terms(*this); }
  /// True if the leader has ended, in a way that `stop()` throws for.
  [[nodiscard]] bool ended_badly() const { return calls->ended_badly(*this); }
  /// The facts of the process for probes.
  [[nodiscard]] ProbeContext context_of_process() const;
  /// Tells the reporter, but not in a fork of the owner.
  void report(const Event& event) noexcept;
  /// True unless the reporter says that it wants no steps of a run.
  [[nodiscard]] bool reports_steps() const noexcept;
  /// Reports an end that `stop()` would throw for, and that nobody has heard of yet.
  void report_end(bool by_itself);
  /// Reports the current exception, of a stop; the first line of its message is the reason.
  void report_failed_stop() noexcept;
  /// The steps of `kill()`, and of a start that has failed.
  [[nodiscard]] std::array<SignalStep, 1> kill_steps() const;
  /// A bad end before a `kill()` is told; one by it is not.
  [[nodiscard]] ExitPolicy kill_policy();

  /// Clears the state of the last run.
  void reset_last_run();
  /// Clears the remains of the last run, and tells of its bad end.
  void begin_start();
  /// Takes the streams of a run that begins.
  void take_streams(OutputStreams its_streams);
  /// Makes the spawner's request for a run. `from`: the ends of standard input, of which the
  /// command's stays open until the spawn.
  [[nodiscard]] LaunchRequest prepare(InputStream& from, bool input_is_terminal);
  void give_to_user(const LaunchRequest& request) const;
  void add_relays(LaunchRequest& request, bool input_is_terminal);
  void report_not_executed(std::chrono::nanoseconds waited);
  /// Fills in how the tree is to be ended.
  void add_terms(LaunchRequest& request, std::span<const SignalStep> steps);
  /// The process has been made.
  void begin_run();
  /// Throws `std::invalid_argument` for a number that is no signal's, and for a negative time.
  void check_terms(std::span<const SignalStep> steps) const;
  /// The start budget for a debugger, if one runs the command.
  [[nodiscard]] std::chrono::nanoseconds slowed(std::chrono::nanoseconds start_budget) const;
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
  [[noreturn]] void throw_spawn_error();
  /// Throws the user's error for the current exception, of a check's prepare().
  [[noreturn]] void throw_not_prepared(const std::string& check) const;
  /// True if the leader has ended, in a way that `stop()` throws for.
  [[nodiscard]] bool has_ended_badly(std::span<const SignalStep> steps,
                                     const std::vector<int>& accept) const;
  /// The event of a bad end.
  [[nodiscard]] Event bad_end(bool by_itself) const;
  /// True if the end is bad whatever the exit code.
  [[nodiscard]] bool has_trouble() const noexcept { return !trouble.empty() || !reports.empty(); }
  /// The command, `pid` (0 for none) and the state. The state is the newest without a change to it.
  [[nodiscard]] std::string describe(pid_t pid) const;
  /// For an observer: asks for the fate, and reports a bad end that nobody has heard of.
  [[nodiscard]] static Fate fate_of(Observed& service);
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

/// An executor's data that depend on the spawner's handle alone.
template <class Handle>
struct Running : ServiceBase {
  std::optional<Handle> process = {};

  [[nodiscard]] static Running& of(ServiceBase& service) { return static_cast<Running&>(service); }
  [[nodiscard]] static const Handle& handle_of(const ServiceBase& service) {
    return *static_cast<const Running&>(service).process;
  }

  /// True while a process of the tree lives. Keeps the news of the handle.
  bool look() {
    if (!process) return false;
    const bool lives = process->alive();
    exit_code = process->exit_code();
    if constexpr (TellsStragglers<Handle>) stragglers = process->stragglers();
    if constexpr (TellsTrouble<Handle>) trouble = process->trouble();
    if constexpr (TellsRefusal<Handle>) refused = process->refused();
    return lives;
  }
  /// Stops the whole tree. False if that takes too long.
  bool pause() {
    if constexpr (requires { process->pause(); }) return process->pause();
    process->signal(SIGSTOP);
    return true;
  }
};

template <class Handle>
consteval ProcessCalls calls_of_process() {
  using Its = Running<Handle>;
  ProcessCalls calls{
      .exists =
          [](const ServiceBase& service) {
            return static_cast<const Its&>(service).process.has_value();
          },
      .clear = [](ServiceBase& service) { Its::of(service).process.reset(); },
      .look = [](ServiceBase& service) { return Its::of(service).look(); },
      .pid = [](const ServiceBase& service) { return Its::handle_of(service).pid(); },
      .event = [](const ServiceBase& service) { return Its::handle_of(service).event(); },
      .signal =
          [](ServiceBase& service, int number, Scope scope) {
            auto& handle = *Its::of(service).process;
            if (scope == Scope::tree)
              handle.signal(number);
            else if constexpr (requires { handle.signal_leader(number); })
              handle.signal_leader(number);
            else
              ::kill(handle.pid(), number);
          },
      .resume =
          [](ServiceBase& service) {
            auto& handle = *Its::of(service).process;
            if constexpr (requires { handle.resume(); })
              handle.resume();
            else
              handle.signal(SIGCONT);
          },
      .guardian = [](const ServiceBase& service) -> pid_t {
        if constexpr (TellsGuardian<Handle>) return Its::handle_of(service).guardian();
        return 0;
      },
      .far = [](const ServiceBase& service) -> const FarState* {
        if constexpr (TellsFar<Handle>) return Its::handle_of(service).far();
        return nullptr;
      },
      .leave = nullptr};
  if constexpr (requires(Handle& handle) { handle.leave(); })
    calls.leave = [](ServiceBase& service) { return Its::of(service).process->leave(); };
  return calls;
}

template <class Set>
struct HandleOfSet {
  using Own = decltype(std::declval<const typename Set::Spawner&>().spawn(
      std::declval<const LaunchRequest&>()));
  using type = std::conditional_t<Set::Sharing::shares, SharedProcess<Own>, Own>;
};

/// An executor's data.
template <class Set>
struct Service : Running<typename HandleOfSet<Set>::type> {
  using Handle = typename HandleOfSet<Set>::type;
  static constexpr bool is_shared = Set::Sharing::shares;

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
  [[no_unique_address]] typename Set::PostMortem::Run remains = {};
  [[no_unique_address]] std::conditional_t<is_shared, SharedRun, NotSharedRun> shared_run = {};

  [[nodiscard]] static Service& of(ServiceBase& service) { return static_cast<Service&>(service); }
  [[nodiscard]] static const Service& of(const ServiceBase& service) {
    return static_cast<const Service&>(service);
  }

  void spawn() {
    try {
      this->take_streams(open_streams(output));
      take_policies();
      auto from = input_policy.open();
      auto request = this->prepare(from, std::is_same_v<typename Set::Input, Defaults::Input>);
      const auto& steps = signals.steps();
      this->add_terms(request, steps);
      prepare_all(checks, request);
      prepare_all(watchers, request);
      remains = typename Set::PostMortem::Run{post_mortem, request};
      this->post_mortem_note = remains.note();
      if constexpr (is_shared)
        spawn_shared(*this, request);
      else
        this->process.emplace(spawner.spawn(request));
      this->begin_run();
    } catch (const std::system_error&) {
      this->throw_spawn_error();
    }
  }

  /// Takes the place of the spawn, with a handle of a process that another program has started.
  void take_over(OutputStreams its_streams, auto handle) {
    this->take_streams(std::move(its_streams));
    take_policies();
    this->process.emplace(std::move(handle));
    this->begin_run();
  }

  void take_policies() {
    if constexpr (requires { output.keep_on_failure; }) this->keep_dir = output.keep_on_failure;
    this->limits = limits_policy.limits();
  }

  /// Lets checks change the request.
  template <class Checks>
  void prepare_all(const Checks& all, LaunchRequest& request) {
    hana::for_each(all, [&](const auto& check) {
      if constexpr (requires { check.prepare(request); }) {
        try {
          check.prepare(request);
        } catch (...) {
          this->throw_not_prepared(name_of(check));
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

  /// A command on another machine may turn out later not to be executed. The remains are looked at
  /// when the leader has ended, and again when its tree has.
  bool look_closely() {
    if (!this->process) return false;
    bool lives = false;
    try {
      lives = this->look();
    } catch (const SpawnFailure&) {
      this->throw_spawn_error();
    }
    if constexpr (!std::is_empty_v<typename Set::PostMortem::Run>) {
      if (!this->exit_code || (this->examined && lives)) return lives;
      this->reports = remains.reports();
      if (!std::exchange(this->examined, true) && leaves_core(*this->exit_code) &&
          this->ended_badly())
        this->backtrace = remains.backtrace(this->process->pid());
    }
    return lives;
  }
  static constexpr bool looks_closely =
      !runs_here<typename Set::Spawner> || !std::is_empty_v<typename Set::PostMortem::Run>;
};

template <class... Checks>
inline constexpr std::array<bool, sizeof...(Checks)> are_valid_after_exit{
    ValidAfterExit<Checks>...};
template <class... Checks>
constexpr std::span<const bool> valid_after_exit(hana::basic_type<hana::basic_tuple<Checks...>>) {
  return are_valid_after_exit<Checks...>;
}

template <class Ref, class Tuple>
[[nodiscard]] Ref ref_at(Tuple& all, std::size_t at) {
  Ref result;
  hana::for_each(all, [&](auto& one) {
    if (at-- == 0) result = Ref{one};
  });
  return result;
}

template <class Handle>
inline constexpr ProcessCalls process_calls = calls_of_process<Handle>();

template <class Set>
consteval ServiceCalls calls_of_set() {
  using Its = Service<Set>;
  using Spawner = typename Set::Spawner;
  ServiceCalls calls{
      .process = &process_calls<typename Its::Handle>,
      .valid_after_exit = valid_after_exit(hana::type_c<typename Set::Checks>),
      .of_spawn = TellsExecution<Spawner> ? 1U : 0U,
      .watchers = decltype(hana::size(std::declval<typename Set::WatcherTypes>()))::value,
      .default_reporter = std::is_same_v<typename Set::Reporter, Defaults::Reporter>,
      .spawn = [](ServiceBase& service) { Its::of(service).spawn(); },
      .alive = process_calls<typename Its::Handle>.look,
      .check = [](ServiceBase& service,
                  std::size_t at) { return ref_at<CheckRef>(Its::of(service).checks, at); },
      .watcher = [](ServiceBase& service,
                    std::size_t at) { return ref_at<WatcherRef>(Its::of(service).watchers, at); },
      .terms = [](const ServiceBase& service) -> Terms {
        const auto& its = Its::of(service);
        return {its.budget.start, its.budget.stop, its.head_start(), its.signals.kill};
      },
      .accept = [](const ServiceBase& service) -> std::vector<int> {
        return Its::of(service).signals.accept;
      },
      .ended_badly =
          [](const ServiceBase& service) {
            const auto& its = Its::of(service);
            const auto& steps = its.signals.steps();
            return its.has_ended_badly(steps, its.signals.accept);
          },
      .report = [](ServiceBase& service, const Event& event) { Its::of(service).reporter(event); },
      .wants_steps = nullptr,
      .add_place = nullptr,
      .stop_way = nullptr};
  if constexpr (Its::looks_closely)
    calls.alive = [](ServiceBase& service) { return Its::of(service).look_closely(); };
  if constexpr (requires(const Its& its) { static_cast<bool>(its.reporter.wants_steps()); })
    calls.wants_steps = [](const ServiceBase& service) {
      return static_cast<bool>(Its::of(service).reporter.wants_steps());
    };
  constexpr bool launches =
      requires(const Spawner& spawner, LaunchRequest request) { spawner.launch(request); };
  if constexpr (launches || !runs_here<Spawner>)
    calls.add_place = [](const ServiceBase& service, ProbeContext& context) {
      if constexpr (!runs_here<Spawner>) context.guardian = 0;  // a probe could not ask it
      if constexpr (launches) {
        context.launcher = &Its::of(service).spawner;
        context.beside = [](const void* any, const std::string& id, LaunchRequest request) {
          const auto& launcher = *static_cast<const Spawner*>(any);
          if constexpr (requires { launcher.beside(std::move(request), id); })
            return launcher.beside(std::move(request), id);
          else
            return launcher.launch(std::move(request));
        };
      }
    };
  if constexpr (ClosesInput<typename Set::SignalStrategy>)
    calls.stop_way = [](ServiceBase& service) -> std::unique_ptr<StopWay> {
      service.close_input(std::chrono::milliseconds{50});
      return nullptr;
    };
  else if constexpr (StopsByCommand<typename Set::SignalStrategy>)
    calls.stop_way = [](ServiceBase& service) -> std::unique_ptr<StopWay> {
      const auto& its = Its::of(service);
      return std::make_unique<StopCommand<Spawner>>(its.spawner, its.signals.command,
                                                    its.budget.stop);
    };
  return calls;
}

template <class Set>
inline constexpr ServiceCalls service_calls = calls_of_set<Set>();

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
    return Service<Set>{{ServiceBase{std::move(command), &service_calls<Set>}},
                        value_for<Set>(slots, given)...,
                        values(hana::type_c<typename Set::Checks>, typename Set::CheckTypes{}),
                        values(hana::type_c<typename Set::Watchers>, typename Set::WatcherTypes{})};
  });
  if constexpr (std::is_same_v<typename Set::Budget, Defaults::Budget>)
    if (service.budget.start == typename Set::Budget{}.start)
      service.budget.start = start_timeout_of_environment().value_or(service.budget.start);
  const auto& steps = service.signals.steps();
  service.check_terms(steps);
  if constexpr (requires { service.budget.start = std::chrono::nanoseconds{}; })
    service.budget.start = service.slowed(service.budget.start);
  (void)service.limits_policy.limits();
  if constexpr (Set::Sharing::shares) check_shared(service.sharing);
  return service;
}

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/engine/service.ipp>
#endif
