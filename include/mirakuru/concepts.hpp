// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <span>
#include <type_traits>

#include <mirakuru/input/input_stream.hpp>
#include <mirakuru/output/streams.hpp>
#include <mirakuru/process.hpp>
#include <mirakuru/ready/probe.hpp>
#include <mirakuru/report/event.hpp>
#include <mirakuru/spawn/launch.hpp>
#include <mirakuru/stop/signals.hpp>

// The axes' concepts, each with the smallest type that models it.

namespace mirakuru {

/// A handle that a spawner returns: a process and all that it starts.
///
///     struct Handle {
///       pid_t pid() const;                     // the leader, the command's own process
///       int event() const;                     // readable when alive() has news; -1: poll
///       bool alive();                          // true while any of the tree lives; reaps,
///                                              // never blocks
///       std::optional<int> exit_code() const;  // the leader's, once alive() has seen its end
///       void signal(int number);               // to the whole tree
///     };
///
/// It may also have `const std::vector<Straggler>& stragglers() const`, for the executor's function
/// of the same name. `std::string trouble() const`, if not empty, goes into error messages.
/// `bool pause()` and `void resume()` stop the tree and let it go on; else SIGSTOP and SIGCONT do.
/// `void signal_leader(int number)` signals the leader alone; else `kill` does. `const FarState*
/// far() const` is the state of a command on another machine.
template <class T>
concept ProcessHandle = std::movable<T> && requires(T handle, const T& seen, int number) {
  { seen.pid() } -> std::same_as<pid_t>;
  { seen.event() } -> std::same_as<int>;
  { handle.alive() } -> std::same_as<bool>;
  { seen.exit_code() } -> std::same_as<std::optional<int>>;
  handle.signal(number);
};

/// Makes a process as the request says. Throws `SpawnFailure` to say which step failed, or another
/// `std::system_error`.
///
///     struct MySpawner {
///       Handle spawn(const mirakuru::LaunchRequest& request) const;
///     };
///
/// A spawner that starts the command by another program changes the words in its copy of the
/// request and hands that to another spawner.
///
/// Without a member `static constexpr Guarantee guarantee` it promises `Guarantee::group_only`.
/// With `static constexpr bool runs_here = false` the command runs on another machine, or as
/// another program's child: checks that look at processes, files and sockets of this one are an
/// error.
template <class T>
concept Spawner = requires(const T& spawner, const LaunchRequest& request) {
  { spawner.spawn(request) } -> ProcessHandle;
};

/// How long a start and a stop may take.
///
///     struct Hurried {
///       std::chrono::seconds start{1}, stop{1};
///     };
template <class T>
concept Budget = requires(const T& budget) {
  { budget.start } -> std::convertible_to<std::chrono::nanoseconds>;
  { budget.stop } -> std::convertible_to<std::chrono::nanoseconds>;
};

/// The signals by which a tree is ended, and the ends that `stop()` takes as good. After the last
/// step, or when the stop budget has run out, SIGKILL follows by itself.
///
///     struct Interrupt {
///       int kill = SIGKILL;
///       std::vector<int> accept;
///       std::vector<mirakuru::SignalStep> steps() const { return {{SIGINT, 5s}}; }
///     };
///
/// It may have a way to stop that comes before the signals: `static constexpr bool closes_input`,
/// or a member `command`. A member `wait` is then the time until the first signal.
template <class T>
concept SignalStrategy = requires(const T& signals) {
  { signals.steps() } -> std::convertible_to<std::span<const SignalStep>>;
  { signals.kill } -> std::convertible_to<int>;
  { signals.accept } -> std::convertible_to<const std::vector<int>&>;
};

/// The standard input of a command.
///
///     struct FromTerminal {
///       static constexpr bool writable = false;  // true: write() and close_input() may be called
///       mirakuru::InputStream open() const { return mirakuru::InputStream::from(::dup(0)); }
///     };
///
/// An executor calls `open()` at each start and owns the descriptors.
template <class T>
concept Input = requires(const T& input) {
  { input.open() } -> std::same_as<InputStream>;
  { T::writable } -> std::convertible_to<bool>;
};

/// The limits of a command's resources: `Limits`, or none.
///
///     struct NoCoreFiles {
///       std::vector<mirakuru::ResourceLimit> limits() const { return {{RLIMIT_CORE, 0, 0}}; }
///     };
template <class T>
concept LimitsPolicy = requires(const T& policy) {
  { policy.limits() } -> std::same_as<std::vector<ResourceLimit>>;
};

/// The places that a run prints to.
///
///     struct InMemory {
///       static constexpr bool keeps_output = true;
///       mirakuru::OutputStreams open() const {
///         const int fd = ::memfd_create("output", 0);
///         return mirakuru::OutputStreams::from(fd, fd);  // -1: the parent's own
///       }
///     };
///
/// An executor calls `open()` at each start and owns the descriptors. With `keeps_output` each file
/// must be open for reading; this run's part begins at the file's end after `open()`. With
/// `needs_guardian` the spawner has to have one, as for `OutputStreams::copy_to`.
template <class T>
concept Output = requires(const T& output) {
  { output.open() } -> std::same_as<OutputStreams>;
  { T::keeps_output } -> std::convertible_to<bool>;
};

/// Tells why a service has died, in the error: `PostMortem`, or nothing.
///
/// Its `Run` is one run of a service. It may change the request before the spawn. `note()` is for
/// each error. `reports()` makes
/// `stop()` throw. `backtrace()` is asked after an end by a signal that dumps core, also of a child
/// whose shell ends with 128 plus its number.
template <class T>
concept PostMortemPolicy = requires(const typename T::Run& run, pid_t leader) {
  { run.note() } -> std::convertible_to<std::string>;
  { run.reports() } -> std::same_as<std::string>;
  { run.backtrace(leader) } -> std::same_as<std::string>;
} && std::constructible_from<typename T::Run, const T&, LaunchRequest&>;

/// Whether other programs use the same service: `Shared`, or not. Types of your own have no place.
template <class T>
concept SharingPolicy = requires {
  { T::shares } -> std::convertible_to<bool>;
};

/// A check that is called: a predicate, and the simplest of all is a lambda.
///
///     [](const mirakuru::Process& process) { return process.output().ends_with("$ "); }
///
/// The start calls it again and again until it is ready, and trusts it to return. It answers by a
/// `bool`, or by a `Readiness` that says why not. It may have more members:
///
///     struct Prompt {
///       static constexpr bool reads_output = true;      // an error with Inherit and Discard
///       static constexpr bool valid_after_exit = true;  // asked once more when all has ended with
///                                                       // 0, and may then be ready
///       bool operator()(const mirakuru::Process& process) const;
///       std::string describe() const;           // names it in messages
///       bool already_true() const;              // asked before the start: true is AlreadyRunning
///       std::string describe_conflict() const;  // the message of that error
///       void prepare(mirakuru::LaunchRequest& request) const;  // called right before the spawn
///       std::string hint(const mirakuru::Process& process) const;  // a note for TimeoutExpired
///     };
///
/// With <mirakuru/async.hpp> the call may return an awaitable of `void`, `bool` or `Readiness`. The
/// start waits for it, and cancels it at the deadline and when the process ends; an answer after
/// that does not count. The other members are the same.
///
///     struct FirstMessage {
///       asio::awaitable<void> operator()(const mirakuru::Process& process) const;
///     };
///
/// An exception from any member ends the start and comes nested in an `ExecutorError`. An exception
/// from describe() never replaces another error.
template <class T>
concept Predicate = requires(T check, const Process& process) {
  { check(process) } -> std::convertible_to<Readiness>;
};

/// A check tells when the service is ready: by a probe of its own, or it is called.
///
///     struct MyCheck {
///       std::unique_ptr<mirakuru::Probe> probe(const mirakuru::Process& process) const;
///     };
///
/// ready/probe.hpp says what a probe is. A check with a probe may have the members of a predicate,
/// and `std::unique_ptr<Probe> precheck() const`, a probe that is asked once before the start; null
/// for none. With `static constexpr bool needs_preparation = true` no `wait_for()` takes it.
template <class T>
concept ReadinessCheck = detail::ProbingCheck<T> || detail::AwaitableCheck<T> || Predicate<T>;

/// A watcher beside the checks, such as `FailsOn`: the start fails when its probe is ready.
template <class T>
concept Watcher = requires(const T& watcher, const Process& process) {
  requires T::watches;
  { watcher.watch(process) } -> std::same_as<std::unique_ptr<Probe>>;
  { watcher.describe() } -> std::convertible_to<std::string>;
  { watcher.quote(process) } -> std::convertible_to<std::string>;
};

/// Is told when something is slow or wrong, while no call of the executor can throw it.
///
///     [](const mirakuru::Event& event) { log(mirakuru::line_of(event)); }
///
/// It is called by the thread that calls the executor, and must not call the executor itself. An
/// exception of it is ignored. It gets steps, too, unless it has a member `bool wants_steps()
/// const` that returns false.
template <class T>
concept Reporter =
    !ReadinessCheck<T> && requires(T reporter, const Event& event) { reporter(event); };

}  // namespace mirakuru
