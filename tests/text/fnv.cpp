// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <mirakuru/text/fnv.hpp>

using mirakuru::detail::fnv;

// The numbers are those of the algorithm's authors.
TEST_CASE("fnv: it has the published numbers") {
  CHECK(fnv("") == 0xcbf29ce484222325);
  CHECK(fnv("a") == 0xaf63dc4c8601ec8c);
  CHECK(fnv("foobar") == 0x85944171f73967e8);
}

TEST_CASE("fnv: a text may come in parts") { CHECK(fnv("bar", fnv("foo")) == fnv("foobar")); }
