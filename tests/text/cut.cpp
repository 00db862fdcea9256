// SPDX-License-Identifier: BSL-1.0
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/text/cut.hpp>

using mirakuru::detail::shortened;
using mirakuru::detail::without_half_begin;
using mirakuru::detail::without_half_end;

TEST_CASE("without_half_end: a character that is not whole is left out") {
  CHECK(without_half_end("") == "");
  CHECK(without_half_end("ab") == "ab");
  for (const std::string character : {"\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
    CAPTURE(character);
    for (const std::string before : {"", "a", "\xc3\xbc"}) {
      const auto text = before + character;
      CHECK(without_half_end(text) == text);
      for (auto size = text.size() - 1; size >= before.size() && size > 0; --size)
        CHECK(without_half_end(text.substr(0, size)) == before);
    }
  }
}

TEST_CASE("without_half_end: of a text that is no UTF-8 it leaves out little") {
  CHECK(without_half_end("a\x80\x80\x80\x80\x80") == "a\x80\x80\x80\x80\x80");
  CHECK(without_half_end("\x80") == "\x80");
  CHECK(without_half_end("gr\xfc") == "gr");
}

TEST_CASE("without_half_begin: the rest of a character is left out") {
  CHECK(without_half_begin("") == "");
  CHECK(without_half_begin("ab") == "ab");
  CHECK(without_half_begin("\xc3\xbc"
                           "b") ==
        "\xc3\xbc"
        "b");
  CHECK(without_half_begin("\xbc"
                           "b") == "b");
  CHECK(without_half_begin("\x9f\x98\x80"
                           "b") == "b");
  CHECK(without_half_begin("\x80\x80\x80\x80") == "\x80");
}

TEST_CASE("shortened: a long text ends with a mark") {
  CHECK(shortened("abc", 3) == "abc");
  CHECK(shortened("abcd", 3) == "abc [...]");
  CHECK(shortened("ab\xe2\x82\xac", 3) == "ab [...]");
  CHECK(shortened("ab\xe2\x82\xac", 5) == "ab\xe2\x82\xac");
}
