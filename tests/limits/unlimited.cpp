// SPDX-License-Identifier: BSL-1.0
#include <type_traits>

#include <doctest/doctest.h>

#include <mirakuru/concepts.hpp>
#include <mirakuru/limits/unlimited.hpp>

static_assert(mirakuru::LimitsPolicy<mirakuru::Unlimited>);
static_assert(std::is_empty_v<mirakuru::Unlimited>);

TEST_CASE("Unlimited: it asks for no limit") { CHECK(mirakuru::Unlimited{}.limits().empty()); }
