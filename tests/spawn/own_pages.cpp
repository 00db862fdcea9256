// SPDX-License-Identifier: BSL-1.0
#include <sys/mman.h>
#include <system_error>

#include <doctest/doctest.h>

#include <mirakuru/spawn/own_pages.hpp>

#include "child.hpp"

using mirakuru::detail::OwnPages;

TEST_CASE("OwnPages: a fork shares them or not") {
  for (const int sharing : {MAP_PRIVATE, MAP_SHARED}) {
    const OwnPages pages{sizeof(int), sharing};
    auto* const number = static_cast<int*>(pages.begin());
    CHECK(*number == 0);
    CHECK(test::in_child([number] { return (*number = 7) == 7; }) == 0);
    CHECK(*number == (sharing == MAP_SHARED ? 7 : 0));
  }
  CHECK_THROWS_AS((OwnPages{static_cast<std::size_t>(-1), MAP_PRIVATE}), std::system_error);
}
