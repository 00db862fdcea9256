// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/engine/service_calls.hpp>

#include "errors.hpp"
#include "fake.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::calls_of_process;
using mk::detail::ServiceBase;
using test::refusal;

namespace {

/// A handle with the members of the concept alone.
struct SmallHandle {
  pid_t pid() const { return 4711; }
  int event() const { return -1; }
  bool alive() { return true; }
  std::optional<int> exit_code() const { return {}; }
  void signal(int) {}
};

/// A handle with all optional members. It can be left once.
class LargeHandle : public test::FakeHandle {
 public:
  using FakeHandle::FakeHandle;

  pid_t guardian() const { return 4710; }
  const mk::FarState* far() const { return &far_; }
  bool leave() { return !std::exchange(left_, true); }

 private:
  mk::FarState far_{.command = {}, .host = "node"};
  bool left_ = false;
};

}  // namespace

TEST_CASE("calls_of_process: a handle without the optional members has defaults") {
  constexpr auto calls = calls_of_process<SmallHandle>();
  static_assert(calls.leave == nullptr);
  mk::detail::Running<SmallHandle> service{ServiceBase{"command"}};
  CHECK_FALSE(calls.exists(service));
  CHECK_FALSE(calls.look(service));
  service.process.emplace();
  CHECK(calls.exists(service));
  CHECK(calls.look(service));
  CHECK(calls.pid(service) == 4711);
  CHECK(calls.event(service) == -1);
  CHECK(calls.guardian(service) == 0);
  CHECK(calls.far(service) == nullptr);
  calls.clear(service);
  CHECK_FALSE(calls.exists(service));
}

TEST_CASE("calls_of_process: the optional members of a handle are called") {
  constexpr auto calls = calls_of_process<LargeHandle>();
  test::FakeTree tree;
  int leaders = 0;
  tree.on_leaders_signal = [&leaders] { ++leaders; };
  mk::detail::Running<LargeHandle> service{ServiceBase{"command"}};
  service.process.emplace(tree);
  CHECK(calls.guardian(service) == 4710);
  REQUIRE(calls.far(service) != nullptr);
  CHECK(calls.far(service)->host == "node");
  CHECK(calls.leave(service));
  CHECK_FALSE(calls.leave(service));
  calls.signal(service, SIGTERM, mk::Scope::tree);
  CHECK(leaders == 0);
  calls.signal(service, SIGTERM, mk::Scope::leader);
  CHECK(leaders == 1);
  calls.resume(service);
  CHECK(tree.signals == std::to_string(SIGTERM) + "@0 " + std::to_string(SIGCONT) + "@0");
}

TEST_CASE("ref_at: it is the check at that place") {
  mk::detail::hana::basic_tuple<mk::TCPCheck, mk::TCPCheck, mk::ExitCheck> checks{
      mk::TCPCheck{"localhost", 1}, mk::TCPCheck{"localhost", 2}, mk::ExitCheck{}};
  const auto name_at = [&checks](std::size_t at) {
    return mk::detail::ref_at<mk::detail::CheckRef>(checks, at).describe();
  };
  CHECK(name_at(0) == mk::TCPCheck{"localhost", 1}.describe());
  CHECK(name_at(1) == mk::TCPCheck{"localhost", 2}.describe());
  CHECK(name_at(2) == mk::ExitCheck{}.describe());
}

TEST_CASE("calls_of_set: a function that the policies do not need is null") {
  test::FakeTree tree;
  const auto plain = test::fake_service(tree);
  CHECK((plain.calls->stop_way == nullptr));
  CHECK((plain.calls->wants_steps != nullptr));
  CHECK(plain.calls->default_reporter);
  CHECK(plain.calls->valid_after_exit.empty());
  CHECK(plain.calls->watchers == 0);
  const auto full = test::fake_service(
      tree, mk::StopByInput{}, [](const mk::Event&) {}, mk::ExitCheck{},
      mk::TCPCheck{"localhost", 1}, mk::TimeoutBudget{.stop = 7s});
  CHECK((full.calls->stop_way != nullptr));
  CHECK((full.calls->wants_steps == nullptr));
  CHECK_FALSE(full.calls->default_reporter);
  REQUIRE(full.calls->valid_after_exit.size() == 2);
  CHECK(full.calls->valid_after_exit[0]);
  CHECK_FALSE(full.calls->valid_after_exit[1]);
  CHECK(full.terms().stop == 7s);
  CHECK(full.terms().head_start == 3500ms);
}

TEST_CASE("make_service: a wrong signal and a negative time are refused") {
  test::FakeTree tree;
  const auto of = [&](auto policy) {
    return refusal([&] { (void)test::fake_service(tree, policy); });
  };
  CHECK(of(mk::Signals{.stop = 0}) == "not a signal: 0");
  CHECK(of(mk::Signals{.kill = -9}) == "not a signal: -9");
  CHECK(of(mk::Signals{.stop = SIGRTMAX}) == "nothing");
  CHECK(of(mk::Signals{.stop = SIGRTMAX + 1}).starts_with("not a signal: "));
  CHECK(of(mk::SignalLadder{{SIGINT, 1s}, {SIGTERM, -1ns}}) ==
        "the wait after a signal is negative");
  CHECK(of(mk::TimeoutBudget{.start = -1ns}) == "the start budget is negative");
  CHECK(of(mk::TimeoutBudget{.stop = -1ns}) == "the stop budget is negative");
  CHECK(of(mk::TimeoutBudget{.start = 0ns, .stop = 0ns}) == "nothing");
}
