// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/engine/policy_set.hpp>
#include <mirakuru/engine/service_calls.hpp>

#include "process.hpp"
#include "words.hpp"

namespace mk = mirakuru;
namespace hana = boost::hana;
using namespace std::chrono_literals;
using mk::detail::PolicySet;

namespace {

std::size_t allocations = 0;

}  // namespace

#if !defined(MIRAKURU_TEST_SANITIZED)
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc{};
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace {

// A policy of each axis that has no data.
struct NoSpawner {
  mk::GuardedProcess spawn(const mk::LaunchRequest& launch) const {
    return mk::GuardedSpawner{}.spawn(launch);
  }
};
struct NoBudget {
  static constexpr std::chrono::seconds start{10}, stop{10};
};
struct NoSignals {
  static constexpr int kill = SIGKILL;
  [[maybe_unused]] static inline const std::vector<int> accept;
  std::vector<mk::SignalStep> steps() const { return {{SIGTERM, 5s}}; }
};
struct NoOutput {
  static constexpr bool keeps_output = false;
  mk::OutputStreams open() const { return {}; }
};
struct NoCheck {
  bool operator()(const mk::Process&) const { return true; }
};

/// A check that has a name, to tell it from others of its type.
struct Named {
  char name;
  bool operator()(const mk::Process&) const { return true; }
};

// Every order ------------------------------------------------------------------------------------

template <std::size_t size>
using Order = std::array<std::size_t, size>;

template <std::size_t size>
constexpr std::size_t orders = size * orders<size - 1>;
template <>
constexpr std::size_t orders<0> = 1;

template <std::size_t size, std::size_t nth>
constexpr Order<size> order = [] {
  Order<size> result;
  for (std::size_t i = 0; i < size; ++i) result[i] = i;
  for (std::size_t i = 0; i < nth; ++i) std::next_permutation(result.begin(), result.end());
  return result;
}();

/// Calls `visit.operator()<nth>(place...)` for each order of `size` places.
template <std::size_t size, class Visit>
constexpr void in_every_order(Visit visit) {
  [&]<std::size_t... nth>(std::index_sequence<nth...>) {
    const auto one = [&]<std::size_t n, std::size_t... i>(std::index_sequence<i...>) {
      visit.template operator()<order<size, n>[i]...>();
    };
    (one.template operator()<nth>(std::make_index_sequence<size>{}), ...);
  }(std::make_index_sequence<orders<size>>{});
}

/// An executor's data, made as its constructor makes them.
template <class... Policies, class... Given>
mk::detail::Service<PolicySet<Policies...>> service(Given... given) {
  return mk::detail::make_service<PolicySet<Policies...>>(
      "true", hana::tuple<Given...>{std::move(given)...});
}

template <class...>
struct Types {};
template <class... All>
using Checks = hana::basic_tuple<All...>;

template <class Set, class... Policies>
constexpr bool is_made_of =
    std::is_same_v<Types<typename Set::Spawner, typename Set::Budget, typename Set::SignalStrategy,
                         typename Set::Output, typename Set::Checks>,
                   Types<Policies...>>;

const std::string long_host = "a-name-that-is-too-long-to-be-kept-in-place.example";

}  // namespace

// What is left out is the default.
static_assert(is_made_of<PolicySet<>, mk::GuardedSpawner, mk::TimeoutBudget, mk::Signals,
                         mk::Capture, Checks<>>);
static_assert(is_made_of<PolicySet<NoSpawner>, NoSpawner, mk::TimeoutBudget, mk::Signals,
                         mk::Capture, Checks<>>);
static_assert(is_made_of<PolicySet<NoBudget>, mk::GuardedSpawner, NoBudget, mk::Signals,
                         mk::Capture, Checks<>>);
static_assert(is_made_of<PolicySet<NoSignals>, mk::GuardedSpawner, mk::TimeoutBudget, NoSignals,
                         mk::Capture, Checks<>>);
static_assert(is_made_of<PolicySet<NoOutput>, mk::GuardedSpawner, mk::TimeoutBudget, mk::Signals,
                         NoOutput, Checks<>>);
static_assert(is_made_of<PolicySet<NoCheck>, mk::GuardedSpawner, mk::TimeoutBudget, mk::Signals,
                         mk::Capture, Checks<NoCheck>>);

// The checks keep their order, whatever stands between them.
static_assert(is_made_of<PolicySet<Named, NoOutput, mk::TCPCheck, Named, NoBudget, NoCheck>,
                         mk::GuardedSpawner, NoBudget, mk::Signals, NoOutput,
                         Checks<Named, mk::TCPCheck, Named, NoCheck>>);
static_assert(is_made_of<PolicySet<NoCheck, Named, NoBudget, mk::TCPCheck, NoOutput, Named>,
                         mk::GuardedSpawner, NoBudget, mk::Signals, NoOutput,
                         Checks<NoCheck, Named, mk::TCPCheck, Named>>);

// Nothing has a virtual function.
template <class... All>
constexpr bool none_is_polymorphic = !(std::is_polymorphic_v<All> || ...);
static_assert(none_is_polymorphic<mk::GuardedSpawner, mk::GuardedProcess, mk::CgroupSpawner,
                                  mk::DirectSpawner, mk::DirectProcess, mk::TimeoutBudget,
                                  mk::Signals, mk::SignalLadder, mk::Capture, mk::Inherit,
                                  mk::Discard, mk::ToFile, mk::OutputStreams, mk::BannerCheck,
                                  mk::TCPCheck, mk::UnixSocketCheck, mk::HTTPCheck, mk::PidCheck,
                                  mk::Process, mk::Readiness, mk::Argv, mk::Command, mk::Shell>);
static_assert(none_is_polymorphic<mk::SimpleExecutor, mk::OutputExecutor, mk::UnixSocketExecutor,
                                  mk::PidExecutor, mk::TCPExecutor, mk::HTTPExecutor,
                                  mk::Executor<NoSpawner, NoBudget, NoSignals, NoOutput, NoCheck>,
                                  mk::detail::ServiceBase, mk::detail::Service<PolicySet<>>,
                                  mk::detail::StartFSM, mk::detail::StartOperation,
                                  mk::detail::StopOperation>);

TEST_CASE("PolicySet: the types of policies are sorted alike in every order") {
  using Given = std::tuple<mk::TCPCheck, mk::Discard, NoSpawner, mk::SignalLadder>;
  int count = 0;
  in_every_order<4>([&]<std::size_t... i>() {
    static_assert(
        is_made_of<PolicySet<std::tuple_element_t<i, Given>...>, NoSpawner, mk::TimeoutBudget,
                   mk::SignalLadder, mk::Discard, Checks<mk::TCPCheck>>);
    ++count;
  });
  CHECK(count == 24);
}

TEST_CASE("PolicySet: the values of policies are taken alike in every order") {
  const auto values = std::tuple{mk::TimeoutBudget{.start = 7s, .stop = 8s}, mk::Signals{.stop = 9},
                                 Named{'a'}, mk::TCPCheck{"h", 80}};
  // No template: it is compiled once for all orders.
  using Made = decltype(service<Named, mk::Signals, mk::TCPCheck, mk::TimeoutBudget>(
      std::get<0>(values), std::get<1>(values), std::get<2>(values), std::get<3>(values)));
  int count = 0;
  const auto check = [&count](const Made& made) {
    CHECK(made.budget.start == 7s);
    CHECK(made.budget.stop == 8s);
    CHECK(made.signals.stop == 9);
    CHECK(hana::at_c<0>(made.checks).name == 'a');
    CHECK(hana::at_c<1>(made.checks).host.str() == "h");
    CHECK(hana::at_c<1>(made.checks).port == 80);
    ++count;
  };
  in_every_order<4>([&]<std::size_t... i>() {
    check(service<Named, mk::Signals, mk::TCPCheck, mk::TimeoutBudget>(std::get<i>(values)...));
  });
  CHECK(count == 24);
}

TEST_CASE("PolicySet: a policy that is not given is the default one of its type") {
  const auto none = service<>();
  CHECK(none.budget.start == mk::TimeoutBudget{}.start);
  CHECK(none.budget.stop == mk::TimeoutBudget{}.stop);
  CHECK(none.signals.stop == mk::Signals{}.stop);
  CHECK(none.signals.kill == mk::Signals{}.kill);
  CHECK(none.signals.accept.empty());

  // It may be given without being named in the type, which has it all the same.
  const auto some = service<>(mk::Signals{.kill = SIGQUIT});
  CHECK(some.signals.kill == SIGQUIT);
  CHECK(some.budget.start == mk::TimeoutBudget{}.start);
}

TEST_CASE("PolicySet: checks of one type take the values in order") {
  const auto names = [](const auto& made) {
    std::string result;
    hana::for_each(made.checks, [&]<class Check>(const Check& check) {
      if constexpr (std::is_same_v<Check, Named>)
        result += check.name;
      else
        result += std::to_string(check.port);
    });
    return result;
  };
  const Named a{'a'}, b{'b'}, c{'c'};
  const mk::TCPCheck one{"h", 1}, two{"h", 2};
  CHECK(names(service<Named, Named, Named>(a, b, c)) == "abc");
  CHECK(names(service<Named, Named, Named>(c, b, a)) == "cba");
  CHECK(names(service<Named, mk::TCPCheck, Named, mk::TCPCheck, Named>(one, two, a, b, c)) ==
        "a1b2c");
  CHECK(names(service<mk::TCPCheck, Named, Named, mk::TCPCheck>(b, two, mk::TimeoutBudget{}, one,
                                                                a)) == "2ba1");
}

TEST_CASE("PolicySet: the checks run in the order of the type") {
  std::string order;
  const auto log = [&order](char name) {
    return [&order, name](const mk::Process&) {
      order += name;
      return true;
    };
  };
  using Log = decltype(log('a'));
  auto other = [&order](const mk::Process&) {
    order += '-';
    return true;
  };
  mk::Executor<Log, decltype(other), Log> executor{"sleep 300", other, log('a'), log('b')};
  executor.start();
  CHECK(order == "a-b");
}

TEST_CASE(
    "PolicySet: a TCP check that is not given comes from the HTTP check, wherever that stands") {
  const mk::HTTPCheck http{"http://" + long_host + ":8080/status"};
  const auto check = [](const auto& made) {
    int seen = 0;
    hana::for_each(made.checks, [&seen]<class Check>(const Check& one) {
      if constexpr (std::is_same_v<Check, mk::TCPCheck>) {
        CHECK(one.host.str() == long_host);
        CHECK(one.port == 8080);
        ++seen;
      } else if constexpr (std::is_same_v<Check, mk::HTTPCheck>) {
        CHECK(one.url.host().str() == long_host);
        CHECK(one.url.text() == "http://" + long_host + ":8080/status");
        ++seen;
      }
    });
    CHECK(seen == 2);
  };
  check(service<mk::TCPCheck, mk::HTTPCheck>(http));
  check(service<mk::HTTPCheck, mk::TCPCheck>(http));
  check(service<mk::HTTPCheck, Named, mk::TCPCheck>(Named{'a'}, http));
}

TEST_CASE("PolicySet: a TCP check that is given is not derived") {
  const mk::HTTPCheck http{"http://" + long_host + ":8080/"};
  const mk::TCPCheck tcp{"other", 9090};
  for (const auto& made : {service<mk::TCPCheck, mk::HTTPCheck>(http, tcp),
                           service<mk::TCPCheck, mk::HTTPCheck>(tcp, http)}) {
    CHECK(hana::at_c<0>(made.checks).host.str() == "other");
    CHECK(hana::at_c<0>(made.checks).port == 9090);
    CHECK(hana::at_c<1>(made.checks).url.host().str() == long_host);
  }
}

TEST_CASE("PolicySet: an HTTP check alone makes an executor that waits for it alone") {
  static_assert(is_made_of<PolicySet<mk::HTTPCheck>, mk::GuardedSpawner, mk::TimeoutBudget,
                           mk::Signals, mk::Capture, Checks<mk::HTTPCheck>>);
  const auto made = service<mk::HTTPCheck>(mk::HTTPCheck{"http://" + long_host + "/"});
  CHECK(hana::at_c<0>(made.checks).url.host().str() == long_host);
}

TEST_CASE("PolicySet: checks that can only be moved are moved in, and along with their executor") {
  const auto reading = [](std::unique_ptr<int> value) {
    return
        [value = std::move(value)](const mk::Process&) { return value != nullptr && *value == 7; };
  };
  using Reading = decltype(reading(nullptr));
  static_assert(!std::is_copy_constructible_v<Reading>);
  mk::Executor first{"sleep 300", reading(std::make_unique<int>(7)),
                     reading(std::make_unique<int>(7)), mk::TimeoutBudget{.start = 0s}};
  static_assert(std::is_same_v<decltype(first), mk::Executor<Reading, Reading, mk::TimeoutBudget>>);
  auto second = std::move(first);
  CHECK(second.start().running());
  second = mk::Executor{"sleep 301", reading(std::make_unique<int>(7)),
                        reading(std::make_unique<int>(7)), mk::TimeoutBudget{.start = 0s}};
  CHECK(second.start().running());
  CHECK(second.command() == "sleep 301");
}

TEST_CASE("PolicySet: a policy without data costs no space") {
  auto empty = [](const mk::Process&) { return true; };
  auto other = [](const mk::Process&) { return false; };
  using Empty = decltype(empty);
  using Other = decltype(other);
  constexpr auto plain = sizeof(mk::SimpleExecutor);
  static_assert(sizeof(mk::Executor<Empty>) == plain);
  static_assert(sizeof(mk::Executor<Empty, Other, NoCheck>) == plain);
  static_assert(sizeof(mk::Executor<Empty, Empty>) == plain);
  static_assert(sizeof(mk::Executor<NoSpawner>) == plain);
  static_assert(sizeof(mk::Executor<mk::Inherit>) == plain - sizeof(mk::Capture));
  static_assert(sizeof(mk::Executor<mk::Discard>) == plain - sizeof(mk::Capture));
  auto told = [](const mk::Event&) {};
  static_assert(sizeof(mk::Executor<mk::Silent>) == plain);
  static_assert(sizeof(mk::Executor<decltype(told), Empty>) == plain);
  static_assert(sizeof(mk::Executor<NoOutput, NoSpawner, Empty>) == plain - sizeof(mk::Capture));
  // A policy with data costs what they take.
  static_assert(sizeof(mk::Executor<NoBudget>) == plain - sizeof(mk::TimeoutBudget));
  static_assert(sizeof(mk::Executor<NoSignals>) == plain - sizeof(mk::Signals));
  static_assert(sizeof(mk::Executor<bool (*)(const mk::Process&)>) == plain + sizeof(void*));
  static_assert(sizeof(mk::TCPExecutor) == plain + sizeof(mk::TCPCheck));

  // Without any, there is the command and what is known of its run.
  struct Bare : mk::detail::ServiceBase {
    std::optional<mk::GuardedProcess> process;
  };
  static_assert(sizeof(mk::Executor<NoSpawner, NoBudget, NoSignals, NoOutput, NoCheck, Empty>) ==
                sizeof(Bare));

  // They overlap with the command, which must be as it was.
  mk::Executor executor{{test::helper(), "print", "foobar"},
                        NoSpawner{},
                        NoBudget{},
                        NoSignals{},
                        mk::Capture{},
                        NoCheck{},
                        NoCheck{},
                        empty};
  executor.start().wait_for([&] { return executor.output() == "foobar"; });
  CHECK(executor.command() == test::helper() + " print foobar");
}

TEST_CASE("PolicySet: the policies take nothing from the heap") {
  const auto made = [](auto... policies) {
    const auto before = allocations;
    const mk::Executor executor{"true", std::move(policies)...};
    return allocations - before;
  };
  const auto alone = made();
  CHECK((alone > 0 || test::sanitized));  // the command does
  int calls = 0;
  CHECK(made(mk::GuardedSpawner{}, mk::TimeoutBudget{.start = 5s}, mk::Signals{.stop = SIGINT},
             mk::Discard{}, mk::TCPCheck{"localhost", 80}, mk::TCPCheck{"localhost", 81},
             [&calls](const mk::Process&) { return ++calls > 1; }) == alone);
  CHECK(made(mk::HTTPCheck{"http://h/"}, mk::TCPCheck{"h", 80}) == alone);

  // What a policy has there itself is moved along.
  CHECK(made(mk::Signals{.accept = {1, 2, 3}}, mk::ToFile{"/tmp/" + long_host},
             mk::TCPCheck{long_host, 80}, [value = std::make_unique<int>(7)](const mk::Process&) {
               return *value == 7;
             }) == alone);
  CHECK(made(mk::HTTPCheck{"http://" + long_host + "/"}) == alone);
  CHECK(made(mk::SignalLadder{{SIGINT, 1s}, {SIGTERM, 1s}}) == alone);
}

TEST_CASE("PolicySet: moving an executor takes nothing from the heap") {
  mk::Executor first{
      "true",
      mk::Signals{.accept = {1, 2, 3}},
      mk::ToFile{"/tmp/" + long_host},
      mk::TCPCheck{long_host, 80},
      mk::HTTPCheck{"http://" + long_host + "/"},
      [value = std::make_unique<int>(7)](const mk::Process&) { return *value == 7; }};
  const auto before = allocations;
  const auto second = std::move(first);
  CHECK(allocations == before);
}
