// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mirakuru/command.hpp>
#include <mirakuru/engine/check_ref.hpp>
#include <mirakuru/engine/stop_command.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/input/input_stream.hpp>
#include <mirakuru/net/ports.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/os/file_changes.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/output/streams.hpp>
#include <mirakuru/process.hpp>
#include <mirakuru/report/error_context.hpp>
#include <mirakuru/report/event.hpp>
#include <mirakuru/report/observer.hpp>
#include <mirakuru/report/timeline.hpp>
#include <mirakuru/sharing/process.hpp>
#include <mirakuru/sharing/shared.hpp>
#include <mirakuru/spawn/launch.hpp>
#include <mirakuru/stop/signals.hpp>

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
  WatcherRef (*watcher)(ServiceBase& service, std::size_t at);  ///< null: none
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
  [[nodiscard]] bool has_process() const {
    return calls != nullptr && calls->process->exists(*this);
  }
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
  /// The command on another machine; null if it is on this one.
  [[nodiscard]] const FarState* far() const {
    return has_process() ? calls->process->far(*this) : nullptr;
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

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/engine/service_base.ipp>
#endif
