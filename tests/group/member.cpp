// SPDX-License-Identifier: BSL-1.0
#include <cstddef>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/group/member.hpp>

namespace mk = mirakuru;
using mk::detail::Member;

namespace {

/// Executors that do not run, and members with needs that are given by places.
struct Members {
  std::vector<mk::SimpleExecutor> executors;
  std::vector<Member> list;

  Members(std::initializer_list<std::vector<std::size_t>> list_of_needs) {
    const std::vector<std::vector<std::size_t>> needs{list_of_needs};
    for (std::size_t i = 0; i < needs.size(); ++i)
      executors.emplace_back(std::vector<std::string>{"service", std::to_string(i)});
    for (std::size_t i = 0; i < needs.size(); ++i) {
      auto& member = list.emplace_back();
      member.service = mk::detail::service_of(executors[i]);
      for (const auto need : needs[i]) {
        member.needed.push_back(&mk::detail::ServiceAccess::of(executors.at(need)));
        member.needed_names.push_back(executors[need].command());
      }
    }
  }
};

}  // namespace

TEST_CASE("resolve_needs: it finds the places, whatever their order") {
  Members members{{2}, {}, {1}};
  mk::detail::resolve_needs(members.list);
  CHECK(members.list[0].needs == std::vector<std::size_t>{2});
  CHECK(members.list[1].needs.empty());
  CHECK(members.list[2].needs == std::vector<std::size_t>{1});
  mk::detail::resolve_needs(members.list);  // for each start anew
  CHECK(members.list[0].needs == std::vector<std::size_t>{2});
}

TEST_CASE("resolve_needs: a need that is no member is named") {
  Members members{{}, {0}};
  members.list.erase(members.list.begin());
  CHECK_THROWS_WITH_AS(mk::detail::resolve_needs(members.list),
                       "service 1 needs service 0, which is not in the group",
                       std::invalid_argument);
}

TEST_CASE("resolve_needs: a cycle is named, and a diamond is none") {
  Members cycle{{1}, {2}, {1}};
  CHECK_THROWS_WITH_AS(mk::detail::resolve_needs(cycle.list),
                       "a cycle of needs: service 1 needs service 2 needs service 1",
                       std::invalid_argument);
  Members diamond{{}, {0}, {0}, {1, 2}};
  CHECK_NOTHROW(mk::detail::resolve_needs(diamond.list));
}

TEST_CASE("service_of: an executor in an AnyExecutor is the same service") {
  mk::AnyExecutor any = mk::SimpleExecutor{{"service", "1"}};
  const auto service = mk::detail::service_of(any);
  CHECK(&service->base() == &mk::detail::ServiceAccess::of(any).base());
  const mk::AnyExecutor moved = std::move(any);
  CHECK(service->base().command.text() == "service 1");
}
