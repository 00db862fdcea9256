// SPDX-License-Identifier: BSL-1.0
#include <cstddef>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/os/uuid.hpp>

using mirakuru::detail::make_uuid;

TEST_CASE("make_uuid: the text has the form of a random UUID, version 4") {
  for (int round = 0; round < 100; ++round) {
    const auto text = make_uuid();
    CAPTURE(text);
    REQUIRE(text.size() == 36);
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
      const std::string allowed = hyphen ? "-" : "0123456789abcdef";
      REQUIRE(allowed.find(text[i]) != std::string::npos);
    }
    CHECK(text[14] == '4');
    CHECK(std::string{"89ab"}.find(text[19]) != std::string::npos);
  }
}

TEST_CASE("make_uuid: no two are equal, and each digit varies") {
  std::set<std::string> all;
  std::set<char> digits[36];
  for (int round = 0; round < 1000; ++round) {
    const auto text = make_uuid();
    all.insert(text);
    for (std::size_t i = 0; i < text.size(); ++i) digits[i].insert(text[i]);
  }
  CHECK(all.size() == 1000);
  for (std::size_t i = 0; i < 36; ++i) {
    CAPTURE(i);
    const bool fixed = i == 8 || i == 13 || i == 14 || i == 18 || i == 23;
    CHECK(digits[i].size() == (fixed ? 1U : i == 19 ? 4U : 16U));
  }
}
