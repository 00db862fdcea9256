// SPDX-License-Identifier: BSL-1.0
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/os/printable.hpp>

using namespace std::string_literals;
using mirakuru::detail::escaped;
using mirakuru::detail::one_line;

TEST_CASE("one_line: printable text stays as it is") {
  CHECK(one_line("").empty());
  CHECK(one_line("plain ~ \\ text") == "plain ~ \\ text");
  CHECK(one_line("gr\u00fc\u00df\xff") == "gr\u00fc\u00df\xff");
}

TEST_CASE("one_line: an escape replaces each control character") {
  CHECK(one_line("a\nb\tc\n") == "a\\nb\\tc\\n");
  CHECK(one_line("a\0b\x1b\x7f"s) == "a\\x00b\\x1b\\x7f");
  for (int byte = 0; byte < 0x20; ++byte) {
    CAPTURE(byte);
    CHECK(one_line(std::string(1, static_cast<char>(byte))).front() == '\\');
  }
}

TEST_CASE("escaped: the characters to keep stay") {
  CHECK(escaped("a\tb\n\x1b\0"s, "\n\t") == "a\tb\n\\x1b\\x00");
  CHECK(escaped("a\tb\n", "\n") == "a\\tb\n");
}
