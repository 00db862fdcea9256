// SPDX-License-Identifier: BSL-1.0
// Stops of a made-up tree of processes, at made-up moments.
#include <chrono>
#include <csignal>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/engine/stop.hpp>

#include "errors.hpp"
#include "fake.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::ExitPolicy;
using mk::detail::single_step;
using mk::detail::StopOperation;
using mk::detail::StopPlan;
using mk::detail::WaitOperation;
using test::contains;
using test::epoch;
using test::message_of;

namespace {

/// Stops a tree by SIGTERM, whose leader ends with `code`.
struct Stopped {
  explicit Stopped(int code, mk::Signals signals = {})
      : service{test::fake_service(tree, signals)} {
    service.spawn();
    tree.end(code);
  }

  test::FakeTree tree;
  decltype(test::fake_service(tree, mk::Signals{})) service;

  /// The headline of the error; "nothing" if there is none.
  std::string headline(ExitPolicy policy = ExitPolicy::check, const std::vector<int>& accept = {}) {
    StopOperation stop{service, epoch, StopPlan{service.signals.steps()}, policy, accept};
    const auto message = message_of<mk::ProcessFinishedWithError>([&] { test::drive(stop, tree); });
    CHECK_FALSE(service.process);
    return message.substr(0, message.find('\n'));
  }
};

constexpr auto not_accepted = ", which stop() does not accept";

}  // namespace

TEST_CASE("StopOperation: without a process it ends at once") {
  test::FakeTree tree;
  auto service = test::fake_service(tree);
  StopOperation stop{service, epoch, StopPlan{service.signals.steps()}, ExitPolicy::check};
  CHECK(test::drive(stop, tree) == "0");
  CHECK(tree.signals.empty());
}

TEST_CASE("StopOperation: each signal is sent at its moment") {
  test::FakeTree tree;
  SUBCASE("one signal, and SIGKILL at the end of the budget") {
    auto service = test::fake_service(tree);
    service.spawn();
    StopOperation stop{service, epoch, StopPlan{service.signals.steps()}, ExitPolicy::check};
    test::drive(stop, tree);
    CHECK(tree.signals == "15@0 9@10000");
    CHECK(service.exit_code == -SIGKILL);
  }
  SUBCASE("steps, and SIGKILL after the last wait") {
    auto service = test::fake_service(tree, mk::SignalLadder{{SIGINT, 2s}, {SIGTERM, 3s}});
    service.spawn();
    StopOperation stop{service, epoch, StopPlan{service.signals.steps()}, ExitPolicy::check};
    test::drive(stop, tree);
    CHECK(tree.signals == "2@0 15@2000 9@5000");
  }
  SUBCASE("the budget cuts the steps") {
    tree.event = -1;
    auto service = test::fake_service(tree, mk::SignalLadder{{SIGINT, 2s}, {SIGTERM, 3s}},
                                      mk::TimeoutBudget{.stop = 1500ms});
    service.spawn();
    StopOperation stop{service, epoch, StopPlan{service.signals.steps()}, ExitPolicy::check};
    test::drive(stop, tree);
    CHECK(tree.signals == "2@0 9@1500");
  }
  SUBCASE("no time at all") {
    auto service = test::fake_service(tree, mk::TimeoutBudget{.stop = 0s});
    service.spawn();
    StopOperation stop{service, epoch, StopPlan{service.signals.steps()}, ExitPolicy::check};
    test::drive(stop, tree);
    CHECK(tree.signals == "9@0");
  }
  SUBCASE("late") {
    auto service = test::fake_service(tree, mk::SignalLadder{{SIGINT, 2s}, {SIGTERM, 3s}});
    service.spawn();
    StopOperation stop{service, epoch, StopPlan{service.signals.steps()}, ExitPolicy::check};
    tree.now = epoch + 2s;
    test::drive(stop, tree);
    CHECK(tree.signals == "2@2000 15@2000 9@5000");
  }
}

TEST_CASE("StopOperation: the tree's end is seen by its event, and all is let go") {
  test::FakeTree tree{.fatal = {SIGTERM}};
  auto service = test::fake_service(tree);
  service.spawn();
  StopOperation stop{service, epoch, StopPlan{service.signals.steps()}, ExitPolicy::check};
  mk::WaitSet waits;
  waits.add(55);
  CHECK_FALSE(stop.resume(epoch, waits));
  REQUIRE(waits.size() == 1);
  CHECK(waits.descriptors()[0].fd == tree.event);
  CHECK(waits.deadline() == epoch + 20ms);
  CHECK(service.input);
  CHECK(stop.resume(epoch + 1ms, waits));
  CHECK(waits.size() == 0);
  CHECK(tree.signals == "15@0");
  CHECK(service.exit_code == -SIGTERM);
  CHECK_FALSE(service.process);
  CHECK_FALSE(service.input);
}

TEST_CASE("StopOperation: a tree without an event is looked at after pauses that adapt") {
  test::FakeTree tree{.event = -1};
  auto service = test::fake_service(tree);
  service.spawn();
  StopOperation stop{service, epoch, StopPlan{service.signals.steps()}, ExitPolicy::check};
  mk::WaitSet waits;
  CHECK_FALSE(stop.resume(epoch, waits));
  CHECK(waits.deadline() == epoch + 500us);
  CHECK_FALSE(stop.resume(epoch + 6400ms, waits));
  CHECK(waits.deadline() == epoch + 6500ms);
  CHECK_FALSE(stop.resume(epoch + 9999ms, waits));
  CHECK(waits.deadline() == epoch + 10s);
}

TEST_CASE("StopOperation: hurry() sends SIGKILL at once") {
  test::FakeTree tree;
  auto service = test::fake_service(tree, mk::SignalLadder{{SIGINT, 2s}, {SIGTERM, 3s}});
  service.spawn();
  StopOperation stop{service, epoch, StopPlan{service.signals.steps()}, ExitPolicy::check};
  mk::WaitSet waits;
  CHECK_FALSE(stop.resume(epoch, waits));
  tree.now = epoch + 1s;
  stop.hurry(tree.now);
  test::drive(stop, tree);
  CHECK(tree.signals == "2@0 9@1000");
}

TEST_CASE("StopOperation: a tree that survives SIGKILL for 10 s can be stopped again") {
  test::FakeTree tree{.fatal = {}};
  auto service = test::fake_service(tree, mk::TimeoutBudget{.stop = 1s});
  service.spawn();
  StopOperation stop{service, epoch, StopPlan{service.signals.steps()}, ExitPolicy::ignore};
  const auto message = message_of<mk::ExecutorError>([&] { test::drive(stop, tree); });
  CHECK(contains(message, "a process survived SIGKILL for 10 s\n  command: fake command"));
  CHECK(tree.now == epoch + 11s);
  CHECK(tree.signals == "15@0 9@1000");
  REQUIRE(service.process);

  tree.fatal = {SIGTERM};
  StopOperation again{service, tree.now, StopPlan{service.signals.steps()}, ExitPolicy::check};
  test::drive(again, tree);
  CHECK(tree.signals == "15@0 9@1000 15@11000");
  CHECK_FALSE(service.process);
}

TEST_CASE("StopOperation: 0 and an end by the strategy's signal are accepted, others are not") {
  CHECK(Stopped{0}.headline() == "nothing");
  CHECK(Stopped{-SIGTERM}.headline() == "nothing");
  CHECK(Stopped{128 + SIGTERM}.headline() == "nothing");
  CHECK(Stopped{3}.headline() == std::string{"exited with a non-zero code: 3"} + not_accepted);
  CHECK(Stopped{-SIGKILL}.headline() == std::string{"ended by signal 9 (Killed)"} + not_accepted);
  CHECK(Stopped{128 + SIGINT}.headline() ==
        std::string{"exited with a non-zero code: 130"} + not_accepted);
}

TEST_CASE("StopOperation: the strategy and the call may accept more") {
  CHECK(Stopped{3, {.accept = {3, -SIGKILL}}}.headline() == "nothing");
  CHECK(Stopped{-SIGKILL, {.accept = {3, -SIGKILL}}}.headline() == "nothing");
  CHECK(Stopped{3}.headline(ExitPolicy::check, {3}) == "nothing");
  CHECK(Stopped{4, {.accept = {3}}}.headline(ExitPolicy::check, {4}) == "nothing");
  CHECK(Stopped{5, {.accept = {3}}}.headline(ExitPolicy::check, {4}) != "nothing");
}

TEST_CASE("StopOperation: the end is no error where it is ignored") {
  CHECK(Stopped{3}.headline(ExitPolicy::ignore) == "nothing");
  CHECK(Stopped{-SIGSEGV}.headline(ExitPolicy::ignore) == "nothing");
}

TEST_CASE("StopOperation: the error knows the exit code") {
  Stopped stopped{3};
  StopOperation stop{stopped.service, epoch, StopPlan{stopped.service.signals.steps()},
                     ExitPolicy::check};
  try {
    test::drive(stop, stopped.tree);
    FAIL("it is accepted");
  } catch (const mk::ProcessFinishedWithError& error) {
    CHECK(error.exit_code() == 3);
  }
}

TEST_CASE("StopOperation: a signal after the leader's end explains nothing") {
  test::FakeTree tree;
  tree.exit_code = -SIGKILL;  // by somebody else; the rest of the tree lives
  auto service = test::fake_service(tree);
  service.spawn();
  StopOperation stop{service, epoch, StopPlan{service.signals.steps()}, ExitPolicy::check};
  CHECK_THROWS_AS(test::drive(stop, tree), mk::ProcessFinishedWithError);
  CHECK(tree.signals == "15@0 9@10000");
}

TEST_CASE("StopOperation: trouble of the spawner is an error, however the leader has ended") {
  Stopped stopped{0};
  stopped.tree.trouble = "the guardian is gone";
  CHECK(stopped.headline() == "exited with code 0");
  CHECK(stopped.service.trouble == "the guardian is gone");
  Stopped ignored{0};
  ignored.tree.trouble = "the guardian is gone";
  CHECK(ignored.headline(ExitPolicy::ignore) == "nothing");
}

TEST_CASE("StopOperation: the reporter is told of an end that is not good, as the policy says") {
  struct News {
    std::string* told;
    static bool wants_steps() { return false; }
    void operator()(const mk::Event& event) const { *told += mk::line_of(event) + '\n'; }
  };
  const auto stopped_by = [](const std::vector<mk::SignalStep>& steps, ExitPolicy policy,
                             auto prepare) {
    std::string told;
    test::FakeTree tree;
    auto service = test::fake_service(tree, News{&told});
    service.spawn();
    prepare(tree);
    StopOperation stop{service, epoch, StopPlan{steps}, policy};
    test::drive(stop, tree);
    return told;
  };
  const auto stopped = [&](ExitPolicy policy, auto prepare) {
    return stopped_by({{SIGTERM, std::chrono::nanoseconds::max()}}, policy, prepare);
  };
  const auto crash = [](test::FakeTree& tree) { tree.end(9); };
  CHECK(stopped(ExitPolicy::report, crash) ==
        "fake command: exited with a non-zero code: 9 while nobody waited for it\n");
  CHECK(stopped(ExitPolicy::ignore, crash).empty());
  CHECK(stopped(ExitPolicy::report, [](test::FakeTree& tree) { tree.end(0); }).empty());
  CHECK(stopped(ExitPolicy::report, [](test::FakeTree& tree) { tree.fatal = {SIGTERM}; }).empty());
  CHECK(stopped(ExitPolicy::check, [](test::FakeTree&) {}) ==
        "fake command: had to be killed by SIGKILL, 10 s after the first signal\n");
  CHECK(stopped(ExitPolicy::report,
                [](test::FakeTree& tree) {
                  tree.fatal = {SIGTERM};
                  tree.stragglers = {{42, "sleep 1"}};
                }) ==
        "fake command: left processes behind, which needed a signal of their own: pid 42 (sleep "
        "1)\n");
  // SIGKILL goes to all at once: nobody has been left behind.
  const auto straggles = [](test::FakeTree& tree) {
    tree.fatal = {SIGKILL};
    tree.stragglers = {{42, "sleep 1"}};
  };
  CHECK(stopped_by({{SIGKILL, 1s}}, ExitPolicy::ignore, straggles).empty());
  CHECK(stopped(ExitPolicy::check, straggles) ==
        "fake command: had to be killed by SIGKILL, 10 s after the first signal\n");
  // A leader that has its signal first leaves the others on purpose.
  CHECK(
      stopped_by({{SIGTERM, 1s, mk::Scope::leader}}, ExitPolicy::report, [](test::FakeTree& tree) {
        tree.on_leaders_signal = [&tree] { tree.exit_code = 0; };
        tree.fatal = {SIGTERM};
        tree.stragglers = {{42, "sleep 1"}};
      }).empty());
  // The rest of a daemon's tree is the service.
  CHECK(stopped(ExitPolicy::report, [](test::FakeTree& tree) {
          tree.exit_code = 0;
          tree.fatal = {SIGTERM};
          tree.stragglers = {{42, "sleep 1"}};
        }).empty());
}

TEST_CASE("StopOperation: a reporter that ends the process itself ends the stop") {
  test::FakeTree tree;
  std::function<void()> clear = [] {};
  auto service = test::fake_service(tree, [&clear](const mk::Event& event) {
    if (std::holds_alternative<mk::HadToBeKilled>(event)) clear();
  });
  clear = [&service] { service.clear(); };
  service.spawn();
  StopOperation stop{service, epoch, StopPlan{service.signals.steps()}, ExitPolicy::check};
  CHECK(test::drive(stop, tree) == "10000");
  CHECK(tree.signals == "15@0 9@10000");
}

// The operation of wait().

TEST_CASE("WaitOperation: without a process it fails at once, after a stop it ends at once") {
  test::FakeTree tree;
  auto service = test::fake_service(tree);
  WaitOperation wait{service, epoch};
  mk::WaitSet waits;
  CHECK(message_of<mk::ExecutorError>([&] { (void)wait.resume(epoch, waits); }) ==
        "it has not been started\n  command: fake command");
  service.timeline.spawned = epoch;
  CHECK(wait.resume(epoch, waits));
}

TEST_CASE("WaitOperation: it waits for the process's event, and looks once a second") {
  test::FakeTree tree;
  auto service = test::fake_service(tree);
  service.spawn();
  WaitOperation wait{service, epoch};
  mk::WaitSet waits;
  waits.add(55);
  CHECK_FALSE(wait.resume(epoch + 1h, waits));
  REQUIRE(waits.size() == 1);
  CHECK(waits.descriptors()[0].fd == tree.event);
  CHECK(waits.deadline() == epoch + 1h + 1s);
}

TEST_CASE("WaitOperation: a process without an event is looked at after pauses that adapt") {
  test::FakeTree tree{.event = -1};
  auto service = test::fake_service(tree);
  service.spawn();
  WaitOperation wait{service, epoch};
  mk::WaitSet waits;
  CHECK_FALSE(wait.resume(epoch, waits));
  CHECK(waits.deadline() == epoch + 500us);
  CHECK_FALSE(wait.resume(epoch + 6400ms, waits));
  CHECK(waits.deadline() == epoch + 6500ms);
}

TEST_CASE("WaitOperation: the leader's end ends it, and the rest of the tree stays") {
  test::FakeTree tree;
  auto service = test::fake_service(tree);
  service.spawn();
  WaitOperation wait{service, epoch};
  mk::WaitSet waits;
  CHECK_FALSE(wait.resume(epoch, waits));
  tree.exit_code = 3;
  SUBCASE("the rest of the tree lives") {}
  SUBCASE("all of the tree is gone") { tree.alive = false; }
  CHECK(wait.resume(epoch + 1s, waits));
  CHECK(service.exit_code == 3);
  CHECK(service.process);
  CHECK(tree.signals.empty());
}

TEST_CASE("WaitOperation: an end that it has seen is not one that nobody waited for") {
  std::string told;
  test::FakeTree tree;
  auto service =
      test::fake_service(tree, [&told](const mk::Event& event) { told = mk::line_of(event); });
  service.spawn();
  WaitOperation wait{service, epoch};
  mk::WaitSet waits;
  CHECK_FALSE(wait.resume(epoch, waits));
  CHECK_FALSE(service.waited_for);
  tree.end(3);
  CHECK(wait.resume(epoch, waits));
  StopOperation stop{service, epoch, StopPlan{service.signals.steps()}, ExitPolicy::report};
  test::drive(stop, tree);
  CHECK(told == "fake command: exited with a non-zero code: 3, and nobody asked for its exit code");
  service.reset_last_run();
  CHECK_FALSE(service.waited_for);
}
