// SPDX-License-Identifier: BSL-1.0
#include <type_traits>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/sharing/not_shared.hpp>

namespace mk = mirakuru;

TEST_CASE("NotShared: it is the default, and costs nothing") {
  using Set = mk::detail::PolicySet<>;
  static_assert(mk::SharingPolicy<mk::NotShared>);
  static_assert(std::is_same_v<Set::Sharing, mk::NotShared>);
  static_assert(std::is_empty_v<mk::NotShared> && std::is_empty_v<mk::detail::NotSharedRun>);
  static_assert(std::is_same_v<mk::detail::Service<Set>::Handle, mk::GuardedProcess>);
  static_assert(sizeof(mk::Executor<mk::NotShared>) == sizeof(mk::Executor<>));
  mk::Executor<mk::NotShared> one{"sleep 300"}, two{"sleep 300"};
  one.start();
  two.start();
  CHECK(one.pid() != two.pid());
}
