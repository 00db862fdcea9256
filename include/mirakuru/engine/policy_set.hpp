// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <utility>

#include <boost/hana/at.hpp>
#include <boost/hana/basic_tuple.hpp>
#include <boost/hana/bool.hpp>
#include <boost/hana/concat.hpp>
#include <boost/hana/count.hpp>
#include <boost/hana/count_if.hpp>
#include <boost/hana/filter.hpp>
#include <boost/hana/find_if.hpp>
#include <boost/hana/fold_left.hpp>
#include <boost/hana/index_if.hpp>
#include <boost/hana/optional.hpp>
#include <boost/hana/tuple.hpp>
#include <boost/hana/type.hpp>
#include <boost/hana/unpack.hpp>

#include <mirakuru/command.hpp>
#include <mirakuru/concepts.hpp>
#include <mirakuru/fwd.hpp>
#include <mirakuru/ready/executed.hpp>

// Sorts an executor's policies by axis, and says in one line what is wrong with them.

namespace mirakuru::detail {

namespace hana = boost::hana;

enum class Axis {
  spawner,
  budget,
  signals,
  input,
  output,
  limits,
  check,
  watcher,
  reporter,
  post_mortem,
  sharing,
  misshapen_check,
  none
};

template <class T>
concept Callable = requires { &T::operator(); } || std::is_function_v<std::remove_pointer_t<T>>;

/// The next concept is asked only if the last one does not hold: a generic lambda that is a check
/// need not compile for an event.
template <class T>
consteval Axis axis_of() {
  if constexpr (Spawner<T>)
    return Axis::spawner;
  else if constexpr (SignalStrategy<T>)
    return Axis::signals;
  else if constexpr (Budget<T>)
    return Axis::budget;
  else if constexpr (Input<T>)
    return Axis::input;
  else if constexpr (Output<T>)
    return Axis::output;
  else if constexpr (LimitsPolicy<T>)
    return Axis::limits;
  else if constexpr (PostMortemPolicy<T>)
    return Axis::post_mortem;
  else if constexpr (SharingPolicy<T>)
    return Axis::sharing;
  else if constexpr (Watcher<T>)
    return Axis::watcher;
  else if constexpr (ReadinessCheck<T>)
    return Axis::check;
  else if constexpr (Reporter<T>)
    return Axis::reporter;
  else
    return Callable<T> ? Axis::misshapen_check : Axis::none;
}

/// A strategy that closes the standard input before its signals.
template <class T>
concept ClosesInput = requires { requires T::closes_input; };
/// A strategy that runs a command before its signals.
template <class T>
concept StopsByCommand = requires(const T& strategy) {
  { strategy.command } -> std::convertible_to<const ResolvedCommand&>;
};
/// An output that the guardian copies.
template <class T>
concept NeedsGuardian = requires { requires T::needs_guardian; };
/// An output that is the test's own.
template <class T>
concept IsInherited = requires { requires T::inherited; };
template <class T>
concept HasGuardian = requires { requires T::guarantee != Guarantee::group_only; };

/// True for a spawner whose commands are processes of this machine.
template <class T>
inline constexpr bool runs_here = [] {
  if constexpr (requires { T::runs_here; }) return T::runs_here;
  return true;
}();
/// A spawner whose commands are executed later, as their handles tell.
template <class T>
concept TellsExecution = requires { requires T::executes_later; };

/// A type of its own for each axis, so that Hana can filter by it.
template <Axis axis>
inline constexpr auto is_on =
    []<class T>(hana::basic_type<T>) { return hana::bool_c < axis_of<T>() == axis > ; };

/// The policy of an axis: the one given, or the default.
template <Axis axis, class Default, class... Policies>
using ChosenPolicy =
    typename decltype(+*hana::find_if(hana::tuple_t<Policies..., Default>, is_on<axis>))::type;

// Each Check... is one error of one line; the type in question stands in the template's arguments.

/// Requires that a word of the command is not given as a policy.
template <class Policy>
struct CheckNoWord {
  static constexpr bool ok = !Wordy<Policy>;
  static_assert(ok,
                "mirakuru: a text or a number is no policy: the words of a command stand in braces "
                "of their own, and a port or a URL in a check, as in TCPCheck{\"localhost\", 80}");
};

template <class Policy, Axis axis = axis_of<Policy>()>
struct CheckAxis {
  static_assert(axis != Axis::misshapen_check,
                "mirakuru: a readiness check is called as check(const mirakuru::Process&) and "
                "returns bool, mirakuru::Readiness or, with <mirakuru/async.hpp>, an awaitable; a "
                "reporter is called as reporter(const mirakuru::Event&); this one cannot be called "
                "so");
  static_assert(axis != Axis::none || !CheckNoWord<Policy>::ok,
                "mirakuru: this policy fits no axis: it is neither a spawner, a budget, a signal "
                "strategy, an input, an output, limits, a reporter, a post-mortem, shared nor a "
                "readiness check");
  static constexpr bool ok = true;
};

template <class... Policies>
struct CheckUnique {
  template <Axis axis>
  static constexpr bool unique =
      decltype(hana::count_if(hana::tuple_t<Policies...>, is_on<axis>))::value <= 1;
  static_assert(unique<Axis::spawner>, "mirakuru: two spawners are given; take one");
  static_assert(unique<Axis::budget>, "mirakuru: two budgets are given; take one");
  static_assert(unique<Axis::signals>, "mirakuru: two signal strategies are given; take one");
  static_assert(unique<Axis::input>, "mirakuru: two inputs are given; take one");
  static_assert(unique<Axis::output>, "mirakuru: two outputs are given; take one");
  static_assert(unique<Axis::limits>, "mirakuru: two limits are given; take one");
  static_assert(unique<Axis::reporter>, "mirakuru: two reporters are given; take one");
  static_assert(unique<Axis::post_mortem>, "mirakuru: two post-mortems are given; take one");
  static_assert(unique<Axis::sharing>, "mirakuru: two shared services are given; take one");
  static constexpr bool ok = true;
};

template <class Check, class Output>
struct CheckOutputKept {
  static_assert(!ReadsOutput<Check> || Output::keeps_output,
                "mirakuru: this readiness check reads the output, which the output policy does not "
                "keep; take Capture or ToFile");
  static constexpr bool ok = true;
};

template <class Check, class Spawner>
struct CheckRunsHere {
  static_assert(!LooksHere<Check> || runs_here<Spawner>,
                "mirakuru: this readiness check looks at this machine, and the launcher runs the "
                "command on another one, or as another program's child; take TCPCheck, HTTPCheck, "
                "BannerCheck, TalkCheck or ExecCheck");
  static constexpr bool ok = true;
};

/// A stop that closes the input, and an output that the guardian copies, need other axes.
template <class SignalStrategy, class Input, class Output, class Spawner, class Sharing>
struct CheckTogether {
  static_assert(!ClosesInput<SignalStrategy> || Input::writable,
                "mirakuru: StopByInput closes the standard input, which the input policy does not "
                "hold open; take HeldOpen");
  static_assert(!NeedsGuardian<Output> || HasGuardian<Spawner>,
                "mirakuru: this output is copied by a guardian, which the spawner does not have; "
                "take GuardedSpawner");
  static_assert(!Sharing::shares || (HasGuardian<Spawner> && runs_here<Spawner>),
                "mirakuru: a shared service is kept by a guardian of this machine, which the "
                "spawner does not have; take GuardedSpawner");
  static_assert(!Sharing::shares || !(NeedsGuardian<Output> || IsInherited<Output>),
                "mirakuru: a shared service outlives this program, so its output may not go to it; "
                "take Capture, ToFile or Discard");
  static constexpr bool ok = true;
};

/// The types that an executor is made of.
template <class... Policies>
struct PolicySet {
  static constexpr bool ok = (CheckAxis<Policies>::ok && ... && CheckUnique<Policies...>::ok);

  using Spawner = ChosenPolicy<Axis::spawner, Defaults::Spawner, Policies...>;
  using Budget = ChosenPolicy<Axis::budget, Defaults::Budget, Policies...>;
  using SignalStrategy = ChosenPolicy<Axis::signals, Defaults::SignalStrategy, Policies...>;
  using Input = ChosenPolicy<Axis::input, Defaults::Input, Policies...>;
  using Output = ChosenPolicy<Axis::output, Defaults::Output, Policies...>;
  using Limits = ChosenPolicy<Axis::limits, Defaults::Limits, Policies...>;
  using Reporter = ChosenPolicy<Axis::reporter, Defaults::Reporter, Policies...>;
  using PostMortem = ChosenPolicy<Axis::post_mortem, Defaults::PostMortem, Policies...>;
  using Sharing = ChosenPolicy<Axis::sharing, Defaults::Sharing, Policies...>;
  /// In order; those without data cost no space in a basic_tuple.
  using GivenChecks = decltype(hana::filter(hana::tuple_t<Policies...>, is_on<Axis::check>));
  /// A command on another machine is executed some time after the spawn.
  using CheckTypes = decltype(hana::concat(
      std::declval<std::conditional_t<TellsExecution<Spawner>,
                                      hana::tuple<hana::type<ExecutedCheck>>, hana::tuple<>>>(),
      std::declval<GivenChecks>()));
  using Checks = typename decltype(+hana::unpack(std::declval<CheckTypes>(),
                                                 hana::template_<hana::basic_tuple>))::type;

  using WatcherTypes = decltype(hana::filter(hana::tuple_t<Policies...>, is_on<Axis::watcher>));
  /// Not a basic_tuple: two empty members of one type cost space.
  using Watchers = typename decltype(+hana::unpack(std::declval<WatcherTypes>(),
                                                   hana::template_<hana::tuple>))::type;

  static constexpr bool readable =
      (CheckOutputKept<Policies, Output>::ok && ... && true) &&
      (CheckRunsHere<Policies, Spawner>::ok && ... &&
       CheckTogether<SignalStrategy, Input, Output, Spawner, Sharing>::ok);

  /// The types that have a value each.
  using Single = hana::tuple<hana::type<Spawner>, hana::type<Budget>, hana::type<SignalStrategy>,
                             hana::type<Input>, hana::type<Output>, hana::type<Limits>,
                             hana::type<Reporter>, hana::type<PostMortem>, hana::type<Sharing>>;
  using Slots = decltype(hana::concat(
      Single{}, hana::concat(std::declval<CheckTypes>(), std::declval<WatcherTypes>())));
  /// All types that were named, those in error too.
  using Listed = hana::tuple<hana::type<Policies>...>;
};

// From the values that a constructor was given to the slots of the type. The nth slot of a type
// takes the nth value of that type. The slots that are left derive theirs, or have the default.

/// The nth `T` of a list.
template <class T, std::size_t nth>
struct Nth {
  template <class Other>
  static constexpr bool is = std::is_same_v<T, Other>;
};

template <class... Types>
struct TypeList {
  using Tuple = hana::tuple<hana::type<Types>...>;
};

/// `Nth` for each of a tuple's types, so that no two are equal.
template <class Types>
using Numbered = typename decltype(+hana::fold_left(
    Types{}, hana::type_c<TypeList<>>,
    []<class... Before, class T>(hana::basic_type<TypeList<Before...>>, hana::basic_type<T>) {
      return hana::type_c<TypeList<Before..., Nth<T, (Before::template is<T> + ... + 0)>>>;
    }))::type::Tuple;

/// Requires as many slots for a `Policy` as there are values. A listed policy without a slot has
/// its error already.
template <class Policy, class Set, class... Given>
struct CheckAccepted {
  template <class Types>
  static constexpr std::size_t count =
      decltype(hana::count(std::declval<Types>(), hana::type_c<Policy>))::value;
  static constexpr auto given = count<hana::tuple<hana::type<Given>...>>;
  static constexpr bool ok =
      given <= count<typename Set::Slots> || given <= count<typename Set::Listed>;
  static_assert(ok || !CheckNoWord<Policy>::ok,
                "mirakuru: this executor's type has no place for a policy that was given; name "
                "the policy in the type, or leave the type's arguments out");
};

/// Reports a missing value once. Silent if a surplus one is reported.
template <class Set, class... Given>
struct Missing {
  template <class T>
  [[noreturn]] static T value();
  static_assert(!(CheckAccepted<Given, Set, Given...>::ok && ... && true),
                "mirakuru: a policy of this executor's type has to be given: it has no default, "
                "and none of those given converts to it");
};

/// A value that is not given: derived from the first one that converts, or the default.
template <class T, class Set, class... Given>
T derived_from(const hana::tuple<Given...>& given) {
  constexpr auto converts = []<class Value>(hana::basic_type<Value>) {
    constexpr bool result = !std::is_same_v<Value, T> && std::is_convertible_v<const Value&, T>;
    return hana::bool_c<result>;
  };
  constexpr auto source = hana::index_if(hana::tuple_t<Given...>, converts);
  if constexpr (hana::is_just(source))
    return hana::at_c<*source>(given);
  else if constexpr (requires { T{}; })
    return T{};
  else
    return Missing<Set, Given...>::template value<T>();
}

/// The value for a slot: the given one, to be moved from, or a new one.
template <class Set, class Slot, std::size_t nth, class... Given>
decltype(auto) value_for(hana::basic_type<Nth<Slot, nth>>, hana::tuple<Given...>& given) {
  constexpr auto place = hana::index_if(
      Numbered<hana::tuple<hana::type<Given>...>>{}, []<class Value>(hana::basic_type<Value>) {
        return hana::bool_c<std::is_same_v<Value, Nth<Slot, nth>>>;
      });
  if constexpr (hana::is_just(place))
    return std::move(hana::at_c<*place>(given));
  else
    return derived_from<Slot, Set>(given);
}

}  // namespace mirakuru::detail
