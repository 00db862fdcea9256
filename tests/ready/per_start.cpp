// SPDX-License-Identifier: BSL-1.0
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include <mirakuru/ready/per_start.hpp>

using mirakuru::detail::PerStart;

TEST_CASE("PerStart: the data moves with a check, and a copy has none") {
  const PerStart<std::string> data;
  CHECK(data.get() == nullptr);
  data.emplace("first");
  CHECK(data.emplace("second") == "second");
  CHECK(*data.get() == "second");

  PerStart<std::string> copy{data};
  CHECK(copy.get() == nullptr);
  copy.emplace("third");
  PerStart<std::string> moved{std::move(copy)};
  CHECK(*moved.get() == "third");
  moved = data;
  CHECK(moved.get() == nullptr);
}
