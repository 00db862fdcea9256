// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;

TEST_CASE_TEMPLATE("InputText: the command reads all of it in each start", Spawner,
                   mk::GuardedSpawner, mk::DirectSpawner) {
  for (const auto& text : {std::string{}, std::string{"a\0b", 3}, std::string(2'000'000, 'x')}) {
    mk::Executor cat{"cat", in_time, mk::InputText{text}, Spawner{}};
    CHECK(cat.start().wait(30s).output() == text);
    CHECK(cat.stop().start().wait(30s).output() == text);
  }
}

TEST_CASE("InputText: nobody waits for a command that does not read") {
  mk::Executor sleeper{"sleep 300", in_time, mk::InputText{std::string(2'000'000, 'x')}};
  CHECK(sleeper.start().running());
}
