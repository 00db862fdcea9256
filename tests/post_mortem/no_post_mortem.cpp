// SPDX-License-Identifier: BSL-1.0
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/post_mortem/no_post_mortem.hpp>

namespace mk = mirakuru;

TEST_CASE("NoPostMortem: it changes no request, and finds nothing") {
  mk::LaunchRequest request{.words = {"true"}};
  const mk::NoPostMortem::Run run{mk::NoPostMortem{}, request};
  CHECK(request.words == std::vector<std::string>{"true"});
  CHECK(request.env.empty());
  CHECK(run.note().empty());
  CHECK(run.reports().empty());
  CHECK(run.backtrace(1).empty());
}
