// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <boost/hana/at.hpp>
#include <boost/hana/basic_tuple.hpp>
#include <boost/hana/bool.hpp>
#include <boost/hana/filter.hpp>
#include <boost/hana/for_each.hpp>
#include <boost/hana/front.hpp>
#include <boost/hana/length.hpp>
#include <boost/hana/tuple.hpp>
#include <boost/hana/type.hpp>
#include <boost/hana/unpack.hpp>

#include <mirakuru/concepts.hpp>
#include <mirakuru/fwd.hpp>

// Sorts an executor's policies by axis, and says in one line what is wrong with them.

namespace mirakuru::detail {

namespace hana = boost::hana;

enum class Axis { spawner, budget, signals, output, check, misshapen_check, none };

template <class T>
concept Callable = requires { &T::operator(); } || std::is_function_v<std::remove_pointer_t<T>>;

template <class T>
consteval Axis axis_of() {
  if (Spawner<T>) return Axis::spawner;
  if (SignalStrategy<T>) return Axis::signals;
  if (Budget<T>) return Axis::budget;
  if (Output<T>) return Axis::output;
  if (ReadinessCheck<T>) return Axis::check;
  return Callable<T> ? Axis::misshapen_check : Axis::none;
}

/// A type of its own for each axis, so that Hana can filter by it.
template <Axis axis>
inline constexpr auto is_on =
    []<class T>(hana::basic_type<T>) { return hana::bool_c < axis_of<T>() == axis > ; };

template <Axis axis, class... Policies>
using OnAxis = decltype(hana::filter(hana::tuple_t<Policies...>, is_on<axis>));

/// The policy of an axis: the one given, or the default.
template <Axis axis, class Default, class... Policies>
using ChosenPolicy =
    typename decltype(+hana::front(std::declval<OnAxis<axis, Policies..., Default>>()))::type;

/// The checks, in order; those without data cost no space in a basic_tuple.
template <class... Policies>
using ChosenChecks = typename decltype(+hana::unpack(
    std::declval<OnAxis<Axis::check, Policies...>>(), hana::template_<hana::basic_tuple>))::type;

// Each of these is one error of one line; the type in question stands in the template's arguments.

template <class Policy, Axis axis = axis_of<Policy>()>
struct Placed {
  static_assert(axis != Axis::misshapen_check,
                "mirakuru: a readiness check is called as check(const mirakuru::Process&) and "
                "returns bool, mirakuru::Readiness or, with <mirakuru/async.hpp>, an awaitable; "
                "this one cannot be called so");
  static_assert(axis != Axis::none,
                "mirakuru: this policy fits no axis: it is neither a spawner, a budget, a signal "
                "strategy, an output nor a readiness check");
  static constexpr bool ok = true;
};

template <Axis axis, class Default, class... Policies>
struct AtMostOne {
  static constexpr std::size_t count =
      decltype(hana::length(std::declval<OnAxis<axis, Policies..., Default>>()))::value - 1;
  static_assert(axis != Axis::spawner || count < 2, "mirakuru: two spawners are given; take one");
  static_assert(axis != Axis::budget || count < 2, "mirakuru: two budgets are given; take one");
  static_assert(axis != Axis::signals || count < 2,
                "mirakuru: two signal strategies are given; take one");
  static_assert(axis != Axis::output || count < 2, "mirakuru: two outputs are given; take one");
  static constexpr bool ok = true;
};

template <class Check, class Output>
struct OutputFor {
  static constexpr bool read = requires { requires Check::reads_output; };
  static_assert(!read || Output::keeps_output,
                "mirakuru: this readiness check reads the output, which the output policy does not "
                "keep; take Capture or ToFile");
  static constexpr bool ok = true;
};

template <class... Types>
struct TypeList {};

template <class... Others, class... Checks>
TypeList<Others..., Checks...> places(hana::basic_type<hana::basic_tuple<Checks...>>);

/// What an executor is made of.
template <class... Policies>
struct PolicySet {
  static constexpr bool ok = (Placed<Policies>::ok && ... && true) &&
                             AtMostOne<Axis::spawner, Defaults::Spawner, Policies...>::ok &&
                             AtMostOne<Axis::budget, Defaults::Budget, Policies...>::ok &&
                             AtMostOne<Axis::signals, Defaults::SignalStrategy, Policies...>::ok &&
                             AtMostOne<Axis::output, Defaults::Output, Policies...>::ok;

  using Spawner = ChosenPolicy<Axis::spawner, Defaults::Spawner, Policies...>;
  using Budget = ChosenPolicy<Axis::budget, Defaults::Budget, Policies...>;
  using SignalStrategy = ChosenPolicy<Axis::signals, Defaults::SignalStrategy, Policies...>;
  using Output = ChosenPolicy<Axis::output, Defaults::Output, Policies...>;
  using Checks = ChosenChecks<Policies...>;

  static constexpr bool readable = (OutputFor<Policies, Output>::ok && ... && true);

  /// The types of all places for a value.
  using Places = decltype(places<Spawner, Budget, SignalStrategy, Output>(hana::type_c<Checks>));
  /// All types that were named, those in error too.
  using Named = TypeList<Policies...>;
};

// From the values that a constructor was given to the places that the type has.

/// How many of the first `count` types are `T`.
template <class T, class... Types>
consteval std::size_t count_of(std::size_t count, TypeList<Types...>) {
  const bool same[] = {std::is_same_v<T, Types>..., false};
  std::size_t found = 0;
  for (std::size_t i = 0; i < count; ++i) found += same[i];
  return found;
}

/// Where the `nth` `T` stands; the number of types if there are not so many.
template <class T, class... Types>
consteval std::size_t position_of(std::size_t nth, TypeList<Types...>) {
  const bool same[] = {std::is_same_v<T, Types>..., false};
  std::size_t i = 0;
  while (i < sizeof...(Types) && (!same[i] || nth-- > 0)) ++i;
  return i;
}

/// The first of the other types that converts to `T`.
template <class T, class... Types>
consteval std::size_t source_of(TypeList<Types...>) {
  const bool converts[] = {(!std::is_same_v<T, Types> && std::is_convertible_v<const Types&, T>)...,
                           true};
  std::size_t i = 0;
  while (!converts[i]) ++i;
  return i;
}

/// Whether there are as many places for a `Policy` as there are values of it among `Given`. What is
/// named in the type and has no place has had its error.
template <class Policy, class Set, class... Given>
struct HasPlace {
  template <class... Places>
  static consteval bool enough(TypeList<Places...> places) {
    return count_of<Policy>(sizeof...(Given), TypeList<Given...>{}) <=
           count_of<Policy>(sizeof...(Places), places);
  }
  static constexpr bool ok = enough(typename Set::Places{}) || enough(typename Set::Named{});
  static_assert(ok,
                "mirakuru: this executor's type has no place for a policy that was given; name "
                "the policy in the type, or leave the type's arguments out");
};

/// Stands for what has no value. One error for all that an executor lacks, and none when something
/// given has no place: that has had its error.
template <class Set, class... Given>
struct ToBeGiven {
  template <class T>
  [[noreturn]] static T value();
  static_assert(!(HasPlace<Given, Set, Given...>::ok && ... && true),
                "mirakuru: a policy of this executor's type has to be given: it has no default, "
                "and none of those given converts to it");
};

/// True when a place behind this one derives its value from a `T`.
template <class T, class... Places>
consteval bool is_source(std::size_t place, TypeList<Places...>) {
  const bool derives[] = {
      (!std::is_same_v<T, Places> && std::is_convertible_v<const T&, Places>)...};
  for (auto i = place + 1; i < sizeof...(Places); ++i)
    if (derives[i]) return true;
  return false;
}

/// The value for a place of type `T`: the one given, or derived from one given, or the default.
/// Places are filled in their order.
template <class T, std::size_t place, class Set, class... Given>
T value_for(hana::tuple<Given...>& given) {
  constexpr TypeList<Given...> types;
  constexpr typename Set::Places places;
  constexpr auto position = position_of<T>(count_of<T>(place, places), types);
  constexpr auto source = source_of<T>(types);
  if constexpr (position < sizeof...(Given)) {
    if constexpr (is_source<T>(place, places))
      return hana::at_c<position>(given);
    else
      return std::move(hana::at_c<position>(given));
  } else if constexpr (source < sizeof...(Given)) {
    return std::as_const(hana::at_c<source>(given));
  } else if constexpr (requires { T{}; }) {
    return T{};
  } else {
    return ToBeGiven<Set, Given...>::template value<T>();
  }
}

/// The checks of an executor, each from `given`; their places are behind the four other ones.
template <class Set, class... Checks, class... Given>
hana::basic_tuple<Checks...> checks_from(hana::basic_type<hana::basic_tuple<Checks...>>,
                                         hana::tuple<Given...>& given) {
  return [&]<std::size_t... i>(std::index_sequence<i...>) {
    return hana::basic_tuple<Checks...>{value_for<Checks, 4 + i, Set>(given)...};
  }(std::index_sequence_for<Checks...>{});
}

}  // namespace mirakuru::detail
