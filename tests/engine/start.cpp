// SPDX-License-Identifier: BSL-1.0
// Starts of a made-up process with made-up checks, at made-up moments.
#include <poll.h>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <doctest/doctest.h>

#include <mirakuru/engine/start.hpp>

#include "errors.hpp"
#include "fake.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::PollLoop;
using mk::detail::StartOperation;
using test::contains;
using test::drive;
using test::epoch;
using test::message_of;

namespace {

/// The facts about a check, and a log of the calls.
struct Script {
  std::chrono::milliseconds ready_at = 24h;     // from `epoch` on
  std::chrono::milliseconds throws_at = 24h;    // from `epoch` on
  bool attempts_last = false;                   // an attempt goes on until it is ready
  std::chrono::milliseconds close_takes = 0ms;  // a lasting attempt, after close()
  std::string log = {};                         // "poll@0 close@1000 "

  void note(const std::string& call, mk::TimePoint now) {
    log += call + '@' + test::in_ms(now) + ' ';
  }
};

/// Looks every 100 ms, or lets its attempt last.
class ScriptedProbe final : public mk::Probe {
 public:
  ScriptedProbe(Script& script, const mk::Process* process) : script_{script}, process_{process} {}
  ScriptedProbe(const ScriptedProbe&) = delete;
  ScriptedProbe& operator=(const ScriptedProbe&) = delete;
  ~ScriptedProbe() override { script_.log += "gone"; }

  mk::Readiness poll(mk::TimePoint now) override {
    script_.note("poll", now);
    if (now >= epoch + script_.throws_at) {
      pending_ = false;
      throw std::runtime_error{"the disk is full"};
    }
    if (closed_) {
      pending_ = script_.attempts_last && now < ends_at_;
      return {};
    }
    const bool ready = now >= epoch + script_.ready_at;
    pending_ = script_.attempts_last && !ready;
    return ready ? mk::Readiness{true} : mk::not_ready("cold");
  }
  void wait(mk::TimePoint now, mk::WaitSet& waits) const override {
    waits.until(closed_ ? ends_at_ : now + 100ms);
  }
  bool pending() const noexcept override { return pending_; }
  void close(mk::TimePoint until) override {
    script_.note("close", until);
    if (process_ != nullptr && !process_->running()) script_.log += "ended ";
    closed_ = true;
    ends_at_ = until + script_.close_takes;
  }

 private:
  Script& script_;
  const mk::Process* process_;
  bool pending_ = false, closed_ = false;
  mk::TimePoint ends_at_ = {};
};

/// A check with a probe.
struct Scripted {
  Script* script;
  std::unique_ptr<mk::Probe> probe(const mk::Process& process) const {
    return std::make_unique<ScriptedProbe>(*script, &process);
  }
  std::string describe() const { return "the script"; }
};

/// A check that asks by a probe before the start, too.
struct Prechecked : Scripted {
  Script* before;
  std::unique_ptr<mk::Probe> precheck() const {
    return std::make_unique<ScriptedProbe>(*before, nullptr);
  }
  std::string describe_conflict() const { return "the port answers"; }
};

/// A check that tells at once whether it is true before the start.
struct Already {
  bool already;
  bool already_true() const { return already; }
  bool operator()(const mk::Process&) const { return true; }
};

/// A check of the remains of the process.
struct Remains : Scripted {
  static constexpr bool valid_after_exit = true;
};

/// Starts, and drives it to its end: the moment, or the error's message.
template <class Service>
std::string started(Service& service, test::FakeTree& tree) {
  PollLoop loop;
  StartOperation start{service, loop};
  return drive(start, tree);
}

/// The message of the start's error; it ends when nothing is under way.
template <class Error, class Service>
std::string failed(Service& service, test::FakeTree& tree) {
  const auto message = message_of<Error>([&] { started(service, tree); });
  CHECK_FALSE(service.process);
  CHECK_FALSE(service.input);
  CHECK(service.timeline.ready == mk::TimePoint{});
  return message;
}

}  // namespace

TEST_CASE("StartOperation: without a check the process is ready when it is spawned") {
  test::FakeTree tree;
  auto service = test::fake_service(tree);
  CHECK(started(service, tree) == "0");
  CHECK(tree.spawned == 1);
  CHECK(service.timeline.spawned == epoch);
  CHECK(service.timeline.ready == epoch);
}

TEST_CASE("StartOperation: a process that runs already is ready") {
  test::FakeTree tree;
  Script script;
  auto service = test::fake_service(tree, Scripted{&script});
  service.spawn();
  CHECK(started(service, tree) == "0");
  CHECK(tree.spawned == 1);
  CHECK(script.log.empty());
}

TEST_CASE("StartOperation: the remains of an earlier run are cleared") {
  test::FakeTree tree;
  auto service = test::fake_service(tree);
  service.spawn();
  tree.end(3);
  CHECK_FALSE(service.alive());
  tree.on_spawn = [&] {
    CHECK_FALSE(service.process);
    CHECK_FALSE(service.exit_code);
    tree.alive = true;
    tree.exit_code.reset();
  };
  CHECK(started(service, tree) == "0");
  CHECK(tree.spawned == 2);
  CHECK_FALSE(service.exit_code);
}

TEST_CASE("StartOperation: the checks hold one after the other") {
  test::FakeTree tree;
  Script first{.ready_at = 150ms}, second{.ready_at = 0ms};
  struct Second : Scripted {};
  auto service = test::fake_service(tree, Scripted{&first}, Second{{&second}});
  CHECK(started(service, tree) == "200");
  CHECK(first.log == "poll@0 poll@100 poll@200 gone");
  CHECK(second.log == "poll@200 gone");
  const auto& checks = service.timeline.checks;
  REQUIRE(checks.size() == 2);
  CHECK(checks[0].attempts == 3);
  CHECK(checks[0].passed == epoch + 200ms);
  CHECK(checks[1].first_tried == epoch + 200ms);
  CHECK(service.timeline.ready == epoch + 200ms);
  CHECK(tree.signals.empty());
}

TEST_CASE("StartOperation: the reporter is told of the steps, and of a wait that takes long") {
  test::FakeTree tree;
  Script script{.ready_at = 21s};
  std::string told;
  const auto reporter = [&](const mk::Event& event) {
    told += test::in_ms(tree.now) + ' ' + mk::line_of(event) + '\n';
    throw std::runtime_error{"a reporter must not change anything"};
  };
  auto service =
      test::fake_service(tree, Scripted{&script}, reporter, mk::TimeoutBudget{.start = 60s});
  CHECK(started(service, tree) == "21000");
  CHECK(told ==
        "0 fake command: spawned as pid 4711\n"
        "5000 fake command: still waiting for the script (cold), 5 s of 60 s\n"
        "10000 fake command: still waiting for the script (cold), 10 s of 60 s\n"
        "20000 fake command: still waiting for the script (cold), 20 s of 60 s\n"
        "21000 fake command: the script after 21 s (211 attempts)\n");
}

TEST_CASE("StartOperation: a reporter that wants no steps gets none") {
  struct NewsOnly {
    int* told;
    static bool wants_steps() { return false; }
    void operator()(const mk::Event&) const { ++*told; }
  };
  test::FakeTree tree;
  Script script{.ready_at = 1s};
  int told = 0;
  auto service = test::fake_service(tree, Scripted{&script}, NewsOnly{&told});
  CHECK(started(service, tree) == "1000");
  CHECK(told == 0);
}

TEST_CASE("StartOperation: an exception of wants_steps() is ignored") {
  struct Throws {
    int* told;
    static bool wants_steps() { throw std::runtime_error{"a reporter must not change anything"}; }
    void operator()(const mk::Event&) const { ++*told; }
  };
  test::FakeTree tree;
  Script script{.ready_at = 1s};
  int told = 0;
  auto service = test::fake_service(tree, Scripted{&script}, Throws{&told});
  CHECK(started(service, tree) == "1000");
  CHECK(told == 2);
}

TEST_CASE("StartOperation: the bad end of the run before is told, unless somebody knows it") {
  std::string told;
  struct Quiet {
    std::string* told;
    static bool wants_steps() { return false; }
    void operator()(const mk::Event& event) const { *told += mk::line_of(event) + '\n'; }
  };
  for (const bool known : {false, true}) {
    test::FakeTree tree;
    auto service = test::fake_service(tree, Quiet{&told});
    service.spawn();
    tree.end(3);
    service.told = known;
    CHECK(started(service, tree) == "0");
  }
  CHECK(told == "fake command: exited with a non-zero code: 3 while nobody waited for it\n");
}

TEST_CASE("StartOperation: it waits for the process's event and for the probe") {
  test::FakeTree tree;
  Script script;
  auto service = test::fake_service(tree, Scripted{&script});
  PollLoop loop;
  StartOperation start{service, loop};
  mk::WaitSet waits;
  CHECK(drive(start, tree, waits, epoch + 50ms) == "waits");
  REQUIRE(waits.size() == 1);
  CHECK(waits.descriptors()[0].fd == tree.event);
  CHECK(waits.deadline() == epoch + 100ms);

  // The process's event is no reason to poll the probe.
  waits.descriptors()[0].revents = POLLIN;
  CHECK_FALSE(start.resume(epoch + 50ms, waits));
  CHECK(waits.deadline() == epoch + 100ms);
  CHECK(script.log == "poll@0 ");

  tree.end(3);
  waits.descriptors()[0].revents = POLLIN;
  tree.now = epoch + 60ms;
  CHECK_THROWS_AS(while (!start.resume(tree.now, waits)) CHECK(waits.wants_no_wait()),
                  mk::ProcessExitedWithError);
}

TEST_CASE("StartOperation: an error of the spawner is the start's") {
  test::FakeTree tree;
  Script script;
  auto service = test::fake_service(tree, Scripted{&script});
  tree.on_spawn = [] {
    throw mk::SpawnFailure{"cannot run fake", {ENOENT, std::generic_category()}};
  };
  CHECK(failed<mk::SpawnError>(service, tree) ==
        "cannot run fake: no such file or directory\n  command: fake command");
  CHECK(script.log.empty());
  CHECK(tree.signals.empty());
}

TEST_CASE("StartOperation: a check that is true before the start is a conflict") {
  test::FakeTree tree;
  Script before, script{.ready_at = 0ms};
  SUBCASE("it says so at once") {
    auto service = test::fake_service(tree, Already{true});
    CHECK(contains(failed<mk::AlreadyRunning>(service, tree),
                   "a predicate (check 1) holds before the start: it seems"));
  }
  SUBCASE("its probe says so") {
    before.ready_at = 0ms;
    auto service = test::fake_service(tree, Prechecked{{&script}, &before});
    CHECK(contains(failed<mk::AlreadyRunning>(service, tree), "the port answers: it seems"));
    CHECK(before.log == "poll@0 close@0 gone");
  }
  SUBCASE("its probe says so after a while") {
    before.ready_at = 150ms;
    before.attempts_last = true;
    auto service = test::fake_service(tree, Prechecked{{&script}, &before});
    CHECK(contains(failed<mk::AlreadyRunning>(service, tree), "the port answers: it seems"));
    CHECK(before.log.starts_with("poll@0 poll@100 poll@200 "));
  }
  SUBCASE("the second of two") {
    auto service = test::fake_service(tree, Already{false}, Prechecked{{&script}, &before});
    before.ready_at = 0ms;
    CHECK(contains(failed<mk::AlreadyRunning>(service, tree), "the port answers: it seems"));
  }
  CHECK(tree.spawned == 0);
  CHECK(script.log.empty());
}

TEST_CASE("StartOperation: a check that is false before the start is asked once, then after it") {
  test::FakeTree tree;
  Script before, script{.ready_at = 0ms};
  auto service = test::fake_service(tree, Already{false}, Prechecked{{&script}, &before});
  CHECK(started(service, tree) == "0");
  CHECK(before.log == "poll@0 gone");
  CHECK(script.log == "poll@0 gone");
}

TEST_CASE("StartOperation: the exception of a check comes nested, and nothing is left running") {
  test::FakeTree tree{.dies_after = 30ms};
  Script script{.throws_at = 100ms};
  auto service = test::fake_service(tree, Scripted{&script}, mk::Signals{.kill = SIGQUIT});
  tree.fatal = {SIGQUIT};
  std::string nested;
  const auto message = message_of<mk::ExecutorError>([&] {
    try {
      started(service, tree);
    } catch (const mk::ExecutorError& error) {
      CHECK_FALSE(service.process);
      nested = message_of<std::runtime_error>([&] { std::rethrow_if_nested(error); });
      throw;
    }
  });
  CHECK(nested == "the disk is full");
  CHECK(contains(message, "a readiness check failed: the disk is full"));
  CHECK(contains(message, "waited for: the script, for 1"));
  CHECK(contains(message, "cold"));
  CHECK(tree.signals == "3@100");
  CHECK(tree.now >= epoch + 130ms);
}

TEST_CASE("StartOperation: an exception before the start spawns nothing") {
  test::FakeTree tree;
  Script before{.throws_at = 0ms}, script;
  auto service = test::fake_service(tree, Prechecked{{&script}, &before});
  CHECK(contains(failed<mk::ExecutorError>(service, tree), "a readiness check failed"));
  CHECK(tree.spawned == 0);
  CHECK(tree.signals.empty());
}

TEST_CASE("StartOperation: a time-out ends the tree before the exception leaves") {
  test::FakeTree tree{.fatal = {SIGQUIT, SIGKILL}, .dies_after = 200ms};
  Script script;
  auto service = test::fake_service(tree, Scripted{&script}, mk::Signals{.kill = SIGQUIT},
                                    mk::TimeoutBudget{.start = 250ms});
  const auto message = failed<mk::TimeoutExpired>(service, tree);
  CHECK(message.starts_with("timed out after 250 ms\n"));
  CHECK(contains(message, "waited for: the script, for 250 ms"));
  CHECK(contains(message, "cold"));
  // The last look is at the deadline.
  CHECK(script.log == "poll@0 poll@100 poll@200 close@300 poll@250 close@250 gone");
  CHECK(tree.signals == "3@250");
  CHECK(tree.now >= epoch + 450ms);
  CHECK(service.exit_code == -SIGQUIT);
}

TEST_CASE("StartOperation: an attempt under way at the deadline has 50 ms more") {
  test::FakeTree tree;
  Script script{.attempts_last = true};
  auto service = test::fake_service(tree, Scripted{&script}, mk::TimeoutBudget{.start = 250ms});
  const auto message = failed<mk::TimeoutExpired>(service, tree);
  CHECK(message.starts_with("timed out after 250 ms\n"));
  CHECK(script.log ==
        "poll@0 poll@100 poll@200 poll@250 close@300 poll@250 poll@300 close@300 gone");
  CHECK(tree.signals == "9@300");
}

TEST_CASE("StartOperation: the process's end before it is ready ends the rest of the tree") {
  test::FakeTree tree;
  Script script;
  auto service = test::fake_service(tree, Scripted{&script});
  tree.on_spawn = [&] { tree.exit_code = 3; };
  const auto message = failed<mk::ProcessExitedWithError>(service, tree);
  CHECK(message.starts_with("exited with a non-zero code: 3 before it was ready\n"));
  CHECK(tree.signals == "9@0");
  CHECK(service.exit_code == 3);
  CHECK(script.log.empty());
}

TEST_CASE("StartOperation: a check of the remains is asked once more after the end") {
  test::FakeTree tree;
  Script script{.ready_at = 24h};
  auto service = test::fake_service(tree, Remains{{&script}});
  tree.on_spawn = [&] { tree.end(0); };
  const auto message = failed<mk::ProcessExitedWithError>(service, tree);
  CHECK(message.starts_with("exited with code 0 before it was ready\n"));
  CHECK(contains(script.log, "ended poll@0"));
  CHECK(tree.signals.empty());
}

TEST_CASE("StartOperation: fail() gives a pending attempt up, and ends the tree") {
  test::FakeTree tree{.dies_after = 10ms};
  Script script{.attempts_last = true, .close_takes = 70ms};
  auto service = test::fake_service(tree, Scripted{&script});
  PollLoop loop;
  StartOperation start{service, loop};
  mk::WaitSet waits;
  REQUIRE(drive(start, tree, waits, epoch + 50ms) == "waits");
  CHECK(script.log == "poll@0 ");
  start.fail(std::make_exception_ptr(std::runtime_error{"cancelled"}));
  start.fail(std::make_exception_ptr(std::runtime_error{"cancelled again"}));
  tree.now = epoch + 50ms;
  SUBCASE("it ends well") {}
  SUBCASE("its last poll throws") { script.throws_at = 120ms; }
  CHECK(message_of<std::runtime_error>([&] { drive(start, tree); }) == "cancelled");
  CHECK(tree.signals == "9@50");
  CHECK(contains(script.log, "close@50 "));
  CHECK(tree.now >= epoch + 120ms);
  CHECK_FALSE(service.process);
}

TEST_CASE("StartOperation: fail() before the spawn spawns nothing") {
  test::FakeTree tree;
  Script before{.attempts_last = true}, script;
  auto service = test::fake_service(tree, Prechecked{{&script}, &before});
  PollLoop loop;
  StartOperation start{service, loop};
  mk::WaitSet waits;
  REQUIRE(drive(start, tree, waits, epoch + 50ms) == "waits");
  start.fail(std::make_exception_ptr(std::runtime_error{"cancelled"}));
  CHECK(message_of<std::runtime_error>([&] { drive(start, tree); }) == "cancelled");
  CHECK(tree.spawned == 0);
  CHECK(script.log.empty());
}

TEST_CASE("StartOperation: a tree that survives SIGKILL is the error, and can be stopped later") {
  test::FakeTree tree{.fatal = {}};
  Script script;
  auto service =
      test::fake_service(tree, Scripted{&script}, mk::TimeoutBudget{.start = 1s, .stop = 1s});
  const auto message = message_of<mk::ExecutorError>([&] { started(service, tree); });
  CHECK(message.starts_with("a process survived SIGKILL for 10 s\n"));
  CHECK(tree.signals == "9@1000 9@2000");
  CHECK(service.process);
}

TEST_CASE("StartOperation: a process without an event is looked at after pauses that adapt") {
  test::FakeTree tree{.event = -1};
  Script script;
  auto service = test::fake_service(tree, Scripted{&script});
  PollLoop loop;
  StartOperation start{service, loop};
  mk::WaitSet waits;
  REQUIRE(drive(start, tree, waits, epoch) == "waits");
  CHECK(waits.deadline() == epoch + 500us);
  tree.end(3);
  tree.now = epoch + 500us;
  CHECK_THROWS_AS(drive(start, tree), mk::ProcessExitedWithError);
  CHECK(tree.now < epoch + 100ms);
}
