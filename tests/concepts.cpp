// SPDX-License-Identifier: BSL-1.0
// The smallest models that the comments of concepts.hpp show, and types that miss one member.
#include <sys/types.h>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::helper;
using test::in_time;

namespace {

bool has_printed_ready(const mk::Process& process) { return process.output() == "ready\n"; }

// Smallest models --------------------------------------------------------------------------------

class Handle {
 public:
  explicit Handle(mk::DirectProcess process) : process_{std::move(process)} {}

  pid_t pid() const { return process_.pid(); }
  int event() const { return -1; }
  bool alive() { return process_.alive(); }
  std::optional<int> exit_code() const { return process_.exit_code(); }
  void signal(int number) { process_.signal(number); }

 private:
  mk::DirectProcess process_;
};

struct MySpawner {
  int* spawned;

  Handle spawn(const mk::LaunchRequest& launch) const {
    ++*spawned;
    return Handle{mk::DirectSpawner{}.spawn(launch)};
  }
};

struct Hurried {
  std::chrono::seconds start{1}, stop{1};
};

struct Interrupt {
  int kill = SIGKILL;
  std::vector<int> accept;
  std::vector<mk::SignalStep> steps() const { return {{SIGINT, 5s}}; }
};

struct Quiet {
  static constexpr bool keeps_output = false;
  mk::OutputStreams open() const { return mk::Discard{}.open(); }
};

struct Kept {
  static constexpr bool keeps_output = true;
  int* opened;

  mk::OutputStreams open() const {
    ++*opened;
    return mk::Capture{}.open();
  }
};

struct Prompt {
  bool operator()(const mk::Process& process) const { return process.output().ends_with("$ "); }
  std::string describe() const { return "the prompt"; }
};

struct LastWords {
  static constexpr bool valid_after_exit = true;
  static constexpr bool reads_output = true;
  bool operator()(const mk::Process& process) const {
    return !process.running() && process.output() == "ready\n";
  }
};

struct LastWordsUnasked {
  bool operator()(const mk::Process& process) const { return LastWords{}(process); }
};

// Types that miss one member ---------------------------------------------------------------------

struct NoPid : Handle {
  void pid() const;
};
struct NoEvent : Handle {
  bool event() const;
};
struct NoAlive : Handle {
  int alive();
};
struct NoExitCode : Handle {
  int exit_code() const;
};
struct NoSignal : Handle {
  void signal();
};
struct Immovable : Handle {
  Immovable(Immovable&&) = delete;
};

template <class Result>
struct SpawnerOf {
  Result spawn(const mk::LaunchRequest&) const;
};
struct ChangingSpawner {
  Handle spawn(const mk::LaunchRequest&);
};
struct SpawnerWithoutLaunch {
  Handle spawn() const;
};

struct StartOnly {
  std::chrono::seconds start{1};
};
struct StopOnly {
  std::chrono::seconds stop{1};
};
struct Unitless {
  int start = 1, stop = 1;
};
struct BudgetOfFunctions {
  std::chrono::seconds start() const;
  std::chrono::seconds stop() const;
};

struct NoKill {
  std::vector<int> accept;
  std::vector<mk::SignalStep> steps() const;
};
struct NoAccept {
  int kill = SIGKILL;
  std::vector<mk::SignalStep> steps() const;
};
struct NoSteps {
  int kill = SIGKILL;
  std::vector<int> accept;
};
struct BareSteps : NoSteps {
  std::vector<int> steps() const;
};
struct ChangingSteps : NoSteps {
  std::vector<mk::SignalStep> steps();
};

struct OpensOnly {
  mk::OutputStreams open() const;
};
struct SaysOnly {
  [[maybe_unused]] static constexpr bool keeps_output = false;
};
struct OpensDescriptor : SaysOnly {
  int open() const;
};
struct ChangingOutput : SaysOnly {
  mk::OutputStreams open();
};

template <class T>
constexpr bool fits_nothing = !mk::Spawner<T> && !mk::Budget<T> && !mk::SignalStrategy<T> &&
                              !mk::Output<T> && !mk::ReadinessCheck<T>;
template <class T>
constexpr bool fits_one = mk::Spawner<T> + mk::Budget<T> + mk::SignalStrategy<T> + mk::Output<T> +
                              mk::ReadinessCheck<T> ==
                          1;

/// True if the object is a check; a lambda has no name to ask by.
template <class T>
consteval bool is_check(T) {
  return mk::ReadinessCheck<T>;
}

}  // namespace

// The library's types model their concept, and no other.
static_assert(mk::ProcessHandle<mk::DirectProcess>);
static_assert(mk::ProcessHandle<mk::GuardedProcess>);
static_assert(mk::Spawner<mk::GuardedSpawner> && fits_one<mk::GuardedSpawner>);
static_assert(mk::Spawner<mk::CgroupSpawner> && fits_one<mk::CgroupSpawner>);
static_assert(mk::Spawner<mk::DirectSpawner> && fits_one<mk::DirectSpawner>);
static_assert(mk::Budget<mk::TimeoutBudget> && fits_one<mk::TimeoutBudget>);
static_assert(mk::SignalStrategy<mk::Signals> && fits_one<mk::Signals>);
static_assert(mk::SignalStrategy<mk::SignalLadder> && fits_one<mk::SignalLadder>);
static_assert(mk::Output<mk::Capture> && fits_one<mk::Capture>);
static_assert(mk::Output<mk::Inherit> && fits_one<mk::Inherit>);
static_assert(mk::Output<mk::Discard> && fits_one<mk::Discard>);
static_assert(mk::Output<mk::ToFile> && fits_one<mk::ToFile>);
static_assert(mk::ReadinessCheck<mk::BannerCheck> && fits_one<mk::BannerCheck>);
static_assert(mk::ReadinessCheck<mk::TCPCheck> && fits_one<mk::TCPCheck>);
static_assert(mk::ReadinessCheck<mk::UnixSocketCheck> && fits_one<mk::UnixSocketCheck>);
static_assert(mk::ReadinessCheck<mk::PidCheck> && fits_one<mk::PidCheck>);
static_assert(!mk::Predicate<mk::BannerCheck> && !mk::Predicate<mk::TCPCheck>);
static_assert(!mk::Predicate<mk::UnixSocketCheck> && !mk::Predicate<mk::PidCheck>);
#if !defined(MIRAKURU_NO_HTTP)
static_assert(mk::ReadinessCheck<mk::HTTPCheck> && fits_one<mk::HTTPCheck>);
static_assert(!mk::Predicate<mk::HTTPCheck>);
#endif

// The smallest models do so, too.
static_assert(mk::ProcessHandle<Handle>);
static_assert(mk::Spawner<MySpawner> && fits_one<MySpawner>);
static_assert(mk::Budget<Hurried> && fits_one<Hurried>);
static_assert(mk::SignalStrategy<Interrupt> && fits_one<Interrupt>);
static_assert(mk::Output<Quiet> && fits_one<Quiet>);
static_assert(mk::Output<Kept> && fits_one<Kept>);
static_assert(mk::Predicate<Prompt> && mk::ReadinessCheck<Prompt> && fits_one<Prompt>);

// All other types do not.
static_assert(!mk::ProcessHandle<NoPid>);
static_assert(!mk::ProcessHandle<NoEvent>);
static_assert(!mk::ProcessHandle<NoAlive>);
static_assert(!mk::ProcessHandle<NoExitCode>);
static_assert(!mk::ProcessHandle<NoSignal>);
static_assert(!mk::ProcessHandle<Immovable>);
static_assert(mk::Spawner<SpawnerOf<Handle>>);
static_assert(fits_nothing<SpawnerOf<pid_t>>);
static_assert(fits_nothing<SpawnerOf<void>>);
static_assert(fits_nothing<SpawnerOf<NoPid>>);
static_assert(fits_nothing<ChangingSpawner>);
static_assert(fits_nothing<SpawnerWithoutLaunch>);

static_assert(fits_nothing<StartOnly>);
static_assert(fits_nothing<StopOnly>);
static_assert(fits_nothing<Unitless>);
static_assert(fits_nothing<BudgetOfFunctions>);

static_assert(fits_nothing<NoKill>);
static_assert(fits_nothing<NoAccept>);
static_assert(fits_nothing<NoSteps>);
static_assert(fits_nothing<BareSteps>);
static_assert(fits_nothing<ChangingSteps>);

static_assert(fits_nothing<OpensOnly>);
static_assert(fits_nothing<SaysOnly>);
static_assert(fits_nothing<OpensDescriptor>);
static_assert(fits_nothing<ChangingOutput>);

static_assert(is_check([](const mk::Process&) { return true; }));
static_assert(is_check([](mk::Process) { return true; }));
static_assert(is_check([](const mk::Process&) -> mk::Readiness { return true; }));
static_assert(is_check([](const mk::Process&) { return mk::not_ready("cold"); }));
static_assert(is_check([](const auto&) { return true; }));
static_assert(is_check([](auto&&...) { return true; }));
static_assert(is_check([left = 3](const mk::Process&) mutable { return --left == 0; }));
static_assert(is_check(&has_printed_ready));
static_assert(mk::ReadinessCheck<std::function<bool(const mk::Process&)>>);
static_assert(!is_check([] { return true; }));
static_assert(!is_check([](int) { return true; }));
static_assert(!is_check([](mk::Process&) { return true; }));
static_assert(!is_check([](const mk::Process&, int) { return true; }));
static_assert(!is_check([](const mk::Process&) {}));
static_assert(!is_check([](const mk::Process&) { return std::string{"not yet"}; }));
static_assert(!is_check([](const mk::Process&) { return std::optional<bool>{}; }));
static_assert(!mk::ReadinessCheck<std::function<bool()>>);

static_assert(fits_nothing<int>);
static_assert(fits_nothing<bool>);
static_assert(fits_nothing<std::string>);
static_assert(fits_nothing<std::chrono::seconds>);
static_assert(fits_nothing<mk::Command>);
static_assert(fits_nothing<mk::Host>);
static_assert(fits_nothing<const mk::TCPCheck*>);

TEST_CASE("Spawner: a user's spawner without an event starts, runs and stops") {
  int spawned = 0;
  mk::Executor executor{helper("trap", "TERM", "exit=3"), MySpawner{&spawned}, has_printed_ready,
                        mk::Signals{.accept = {3}}, in_time};
  CHECK(spawned == 0);
  executor.start();
  CHECK(spawned == 1);
  CHECK(executor.running());
  CHECK(test::alive(executor.pid()));
  const test::Elapsed elapsed;
  CHECK(executor.stop().exit_code() == 3);
  CHECK(elapsed < 5s);  // of ten
  CHECK(executor.output() == "ready\n");
  CHECK_FALSE(executor.running());
  executor.start();
  CHECK(spawned == 2);
}

TEST_CASE("Spawner: the end of a process without an event is seen and waited for") {
  int spawned = 0;
  const test::Elapsed elapsed;
  mk::Executor waiting{helper("exit", "5", "after=50"), MySpawner{&spawned}};
  CHECK(waiting.start().wait().exit_code() == 5);
  mk::Executor failing{helper("exit", "6", "after=50"), MySpawner{&spawned}, has_printed_ready,
                       in_time};
  CHECK_THROWS_AS(failing.start(), mk::ProcessExitedWithError);
  CHECK(failing.exit_code() == 6);
  CHECK(spawned == 2);
  CHECK(elapsed < 10s);
}

TEST_CASE("Budget: a user's budget bounds the start") {
  mk::Executor executor{"sleep 300", Hurried{.start = 0s}, has_printed_ready};
  const test::Elapsed elapsed;
  try {
    executor.start();
    FAIL("start() returned");
  } catch (const mk::TimeoutExpired& error) {
    CHECK(error.timeout() == 0s);
  }
  CHECK(elapsed < 5s);
  CHECK_FALSE(executor.running());
}

TEST_CASE("Budget: a user's budget bounds the stop") {
  mk::Executor executor{helper("ignore", "TERM"), has_printed_ready, Hurried{.start = 30s}};
  executor.start();
  const test::Elapsed elapsed;
  CHECK(executor.stop().exit_code() == -SIGKILL);
  CHECK(elapsed >= 1s);
  CHECK(elapsed < 5s);
}

TEST_CASE("SignalStrategy: a user's strategy gives the signals and the accepted exit codes") {
  mk::Executor interrupted{"sleep 300", Interrupt{}};
  CHECK(interrupted.start().stop().exit_code() == -SIGINT);
  CHECK(interrupted.start().kill().exit_code() == -SIGKILL);

  mk::Executor quitting{"sleep 300", Interrupt{.kill = SIGQUIT, .accept = {}}};
  CHECK(quitting.start().kill().exit_code() == -SIGQUIT);

  mk::Executor refused{helper("exit", "3"), Interrupt{}};
  CHECK_THROWS_AS(refused.start().wait().stop(), mk::ProcessFinishedWithError);
  mk::Executor accepted{helper("exit", "3"), Interrupt{.accept = {3}}};
  CHECK(accepted.start().wait().stop().exit_code() == 3);
}

TEST_CASE("Output: a user's output is opened for each start") {
  const test::TempDir directory;
  mk::Executor quiet{helper("inspect", directory / "seen"), Quiet{}};
  quiet.start().wait();
  auto seen = test::read_inspect(directory / "seen");
  CHECK(seen["stdout"] == "null");
  CHECK(seen["stderr"] == "null");

  int opened = 0;
  mk::Executor kept{mk::Shell{"echo out; echo err >&2"}, Kept{&opened}};
  CHECK(opened == 0);
  kept.start().wait();
  CHECK(kept.output() == "out\n");
  CHECK(kept.err_output() == "err\n");
  kept.stop().start().wait();
  CHECK(kept.output() == "out\n");
  CHECK(opened == 2);
}

TEST_CASE("Predicate: messages name a check by its own description") {
  mk::Executor ready{helper("print", "$ "), Prompt{}, in_time};
  CHECK(ready.start().output() == "$ ");

  mk::Executor executor{"sleep 300", Prompt{}, mk::TimeoutBudget{.start = 0s}};
  try {
    executor.start();
    FAIL("start() returned");
  } catch (const mk::TimeoutExpired& error) {
    CHECK(std::string{error.what()}.find("waited for: the prompt") != std::string::npos);
  }
}

TEST_CASE("Predicate: only with valid_after_exit does a check pass after the end") {
  const auto command = helper("print", "ready\n", "exit=0");
  CHECK(mk::Executor{command, LastWords{}, in_time}.start().exit_code() == 0);
  CHECK_THROWS_AS((mk::Executor{command, LastWordsUnasked{}, in_time}.start()),
                  mk::ProcessExitedWithError);
  CHECK_THROWS_AS(
      (mk::Executor{helper("print", "ready\n", "exit=3"), LastWords{}, in_time}.start()),
      mk::ProcessExitedWithError);
}

TEST_CASE("Predicate: a function, a std::function, a generic lambda and one with state work") {
  const auto start = [](auto check) {
    mk::Executor executor{helper("print", "ready\n"), std::move(check), in_time};
    return executor.start().running();
  };
  int calls = 0;
  CHECK(start(&has_printed_ready));
  CHECK(start(std::function<bool(const mk::Process&)>{has_printed_ready}));
  CHECK(start([](const auto& process) { return process.output() == "ready\n"; }));
  CHECK(start([&calls, left = std::make_unique<int>(3)](const mk::Process&) {
    ++calls;
    return --*left == 0;
  }));
  CHECK(calls == 3);
}
