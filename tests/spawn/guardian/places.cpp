// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <mirakuru/spawn/guardian/places.hpp>

TEST_CASE("Cgroup, Scratch: an empty one names no place and holds no descriptor") {
  const mirakuru::detail::Cgroup group;
  CHECK(group.path.empty());
  CHECK(group.directory.get() == -1);
  CHECK(group.kill.get() == -1);
  const mirakuru::detail::Scratch scratch;
  CHECK(scratch.lock_path.empty());
  CHECK(scratch.directory.get() == -1);
  CHECK(scratch.lock.get() == -1);
}
