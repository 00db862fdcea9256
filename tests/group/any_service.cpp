// SPDX-License-Identifier: BSL-1.0
// The operations of a service whose type is forgotten, with a process that the test makes up.
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/async.hpp>
#include <mirakuru/group/any_service.hpp>

#include "errors.hpp"
#include "fake.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::AnyCheck;
using mk::detail::AnyService;
using mk::detail::End;
using mk::detail::Task;

namespace {

constexpr auto for_ever = std::chrono::nanoseconds::max();

/// A check that holds when the test says so, and shows all that a check may show.
struct Told {
  const bool* holds;
  std::string describe() const { return "told"; }
  std::string hint(const mk::Process& process) const {
    return "pid " + std::to_string(process.pid()) + " is asked";
  }
  bool operator()(const mk::Process&) const { return *holds; }
};

/// A tree that has no descriptor, and ends by SIGTERM.
test::FakeTree tree_of_test() { return {.event = -1, .fatal = {SIGTERM, SIGKILL}, .alive = false}; }

/// A service of that tree, as a type and without it.
template <class... Given>
class Forgotten {
 public:
  explicit Forgotten(test::FakeTree& tree, Given... given)
      : service_{test::fake_service(tree, mk::Silent{}, given...)}, any_{service_} {
    tree.on_spawn = [&tree] { tree.alive = true; };
  }
  Forgotten(const Forgotten&) = delete;
  Forgotten& operator=(const Forgotten&) = delete;

  AnyService* operator->() { return &any_; }
  auto& service() { return service_; }

 private:
  using Service = decltype(test::fake_service(std::declval<test::FakeTree&>(), mk::Silent{},
                                              std::declval<Given>()...));
  template <class Set>
  static mk::detail::ServiceOf<Set> any_of(mk::detail::Service<Set>& service);

  Service service_;
  decltype(any_of(std::declval<Service&>())) any_;
};

void finish(const std::unique_ptr<Task>& task) { mk::detail::run(*task, mk::detail::PollLoop{}); }
void start(AnyService* any) {
  mk::detail::PollLoop loop;
  finish(any->start(loop, for_ever));
}

}  // namespace

TEST_CASE("AnyService: a start makes the service ready, and a stop ends it by its strategy") {
  auto tree = tree_of_test();
  bool holds = true;
  Forgotten any{tree, Told{&holds}};
  CHECK(any->check_names() == std::vector<std::string>{"told"});
  CHECK_FALSE(any->alive());
  CHECK(any->pid() == 0);
  start(any.operator->());
  CHECK(any->alive());
  CHECK(any->pid() == 4711);
  CHECK(any->event() == -1);
  CHECK(&any->base() == &any.service());
  finish(any->end(End::stop));
  CHECK(tree.signals.starts_with("15@"));
  CHECK_FALSE(any->alive());
  CHECK(any->pid() == 0);
}

TEST_CASE("AnyService: a kill sends SIGKILL alone") {
  auto tree = tree_of_test();
  Forgotten any{tree};
  start(any.operator->());
  finish(any->end(End::kill));
  CHECK(tree.signals.starts_with("9@"));
  CHECK_FALSE(any->alive());
}

TEST_CASE("AnyService: an end by a signal takes that one, and accepts codes in this call") {
  auto tree = tree_of_test();
  tree.fatal = {SIGUSR1};
  Forgotten any{tree};
  start(any.operator->());
  finish(any->end_by(SIGUSR1, End::kill, {}));
  CHECK(tree.signals.starts_with("10@"));
  CHECK_THROWS_AS((void)any->end_by(0, End::stop, {}), std::invalid_argument);

  start(any.operator->());
  tree.end(7);
  CHECK_NOTHROW(finish(any->end_by(SIGUSR1, End::stop, {7})));
}

TEST_CASE("AnyService: a bad end is an error of a stop, and is reported by a destruction") {
  for (const auto how : {End::stop, End::destroy}) {
    auto tree = tree_of_test();
    Forgotten any{tree};
    start(any.operator->());
    tree.end(7);
    if (how == End::stop)
      CHECK_THROWS_AS(finish(any->end(how)), mk::ProcessFinishedWithError);
    else
      CHECK_NOTHROW(finish(any->end(how)));
  }
}

TEST_CASE("AnyService: a limit of a start holds besides its own budget") {
  auto tree = tree_of_test();
  const bool holds = false;
  Forgotten any{tree, Told{&holds}, mk::TimeoutBudget{.start = 1h}};
  CHECK(any->start_budget() == 1h);
  mk::detail::PollLoop loop;
  const auto text = test::message_of<mk::TimeoutExpired>([&] { finish(any->start(loop, 30ms)); });
  CHECK(test::contains(text, "pid 4711 is asked"));
  CHECK_FALSE(any->alive());
}

TEST_CASE("AnyService: a wait ends with the leader, or at its limit") {
  auto tree = tree_of_test();
  Forgotten any{tree};
  start(any.operator->());
  CHECK_THROWS_AS(finish(any->wait(10ms)), mk::TimeoutExpired);
  tree.end(3);
  CHECK_NOTHROW(finish(any->wait(for_ever)));
  CHECK(any->base().exit_code == 3);
}

TEST_CASE("AnyService: a check whose type is forgotten keeps its name and its hint") {
  auto tree = tree_of_test();
  bool holds = true;
  Forgotten any{tree};
  start(any.operator->());
  mk::detail::PollLoop loop;
  CHECK_NOTHROW(finish(any->wait_for(AnyCheck::of(Told{&holds}), 30s, loop)));
  CHECK(any->alive());
  holds = false;
  const auto text = test::message_of<mk::TimeoutExpired>(
      [&] { finish(any->wait_for(AnyCheck::of(Told{&holds}), 30ms, loop)); });
  CHECK(test::contains(text, "told"));
  CHECK(test::contains(text, "pid 4711 is asked"));
  CHECK_FALSE(any->alive());  // as with Executor
  const auto plain = AnyCheck::of([](const mk::Process&) { return true; });
  CHECK(plain.describe().empty());
  CHECK_FALSE(plain.check.reads_output());
  CHECK(AnyCheck::of(mk::BannerCheck{"a"}).check.reads_output());
}

TEST_CASE("AnyService: run() has the loop that the checks need") {
  auto tree = tree_of_test();
  Forgotten plain{tree};
  CHECK_FALSE(plain->needs_asio());
  plain->run([&](mk::detail::CoroutineLoop loop) { return plain->start(loop, for_ever); });
  CHECK(plain->alive());

  auto other_tree = tree_of_test();
  Forgotten coroutine{other_tree, [](const mk::Process&) -> asio::awaitable<void> { co_return; }};
  CHECK(coroutine->needs_asio());
  coroutine->run([&](mk::detail::CoroutineLoop loop) { return coroutine->start(loop, for_ever); });
  CHECK(coroutine->alive());
}

TEST_CASE("AnyService: a task that is cancelled fails with the error, and a stop kills") {
  auto tree = tree_of_test();
  const bool holds = false;
  Forgotten any{tree, Told{&holds}};
  mk::detail::PollLoop loop;
  const auto begun = any->start(loop, for_ever);
  begun->cancel(std::make_exception_ptr(std::runtime_error{"no more"}));
  CHECK_THROWS_WITH(finish(begun), "no more");

  tree = tree_of_test();
  tree.fatal = {SIGKILL};
  tree.on_spawn = [&tree] { tree.alive = true; };
  Forgotten other{tree};
  start(other.operator->());
  const auto end = other->end(End::stop);
  end->cancel(nullptr);
  finish(end);
  CHECK(tree.signals.find("9@") != std::string::npos);
  CHECK_FALSE(other->alive());
}
