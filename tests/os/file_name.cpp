// SPDX-License-Identifier: BSL-1.0
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include <doctest/doctest.h>

#include <mirakuru/os/file_name.hpp>

namespace mk = mirakuru;
using namespace std::string_literals;

namespace {

/// A name that converts to a string.
struct Named {
  operator std::string() const { return "named"; }
};

}  // namespace

static_assert(std::is_convertible_v<const char*, mk::FileName>);
static_assert(std::is_convertible_v<std::filesystem::path, mk::FileName>);
static_assert(!std::is_convertible_v<int, mk::FileName>);
static_assert(!std::is_convertible_v<std::string_view, mk::FileName>);
static_assert(!std::is_default_constructible_v<mk::FileName>);

TEST_CASE("FileName: it is made of a literal, a string, a path, or a value that converts") {
  CHECK(mk::FileName{"a/b.log"}.str() == "a/b.log");
  CHECK(mk::FileName{"a b\n"s}.str() == "a b\n");
  CHECK(mk::FileName{std::filesystem::path{"/tmp"} / "c"}.str() == "/tmp/c");
  CHECK(mk::FileName{Named{}}.str() == "named");
  const mk::FileName implicit = "d";
  CHECK(mk::FileName{implicit}.str() == "d");
  const char* const pointer = "e";
  CHECK(mk::FileName{pointer}.str() == "e");
}

TEST_CASE("FileName: an empty name and a NUL byte are refused") {
  CHECK_THROWS_WITH_AS(static_cast<void>(mk::FileName{""}), "not a file name: ''",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(static_cast<void>(mk::FileName{std::filesystem::path{}}),
                       "not a file name: ''", std::invalid_argument);
  CHECK_THROWS_WITH_AS(static_cast<void>(mk::FileName{"a\0b"s}), "not a file name: 'a\\x00b'",
                       std::invalid_argument);
}
