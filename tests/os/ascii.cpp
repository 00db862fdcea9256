// SPDX-License-Identifier: BSL-1.0
#include <cctype>
#include <clocale>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/os/ascii.hpp>

namespace detail = mirakuru::detail;

namespace {

/// Each locale that changes <cctype> here, and "C".
constexpr const char* locales[] = {"C", "de_DE.ISO-8859-1", "tr_TR.UTF-8", "C.UTF-8"};

}  // namespace

TEST_CASE("ascii: the classes are as in the C locale") {
  for (int i = 0; i < 256; ++i) {
    CAPTURE(i);
    const auto c = static_cast<char>(i);
    CHECK(detail::is_digit(c) == (std::isdigit(i) != 0));
    CHECK(detail::is_lower(c) == (std::islower(i) != 0));
    CHECK(detail::is_upper(c) == (std::isupper(i) != 0));
    CHECK(detail::is_letter(c) == (std::isalpha(i) != 0));
    CHECK(detail::is_letter_or_digit(c) == (std::isalnum(i) != 0));
    CHECK(detail::is_hexadecimal(c) == (std::isxdigit(i) != 0));
    CHECK(detail::is_word(c) == (std::isalnum(i) != 0 || c == '_'));
    CHECK(detail::is_blank(c) == (std::isblank(i) != 0));
    CHECK(detail::is_space(c) == (std::isspace(i) != 0));
    CHECK(detail::is_control(c) == (std::iscntrl(i) != 0));
    CHECK(detail::is_graphic(c) == (std::isgraph(i) != 0));
    CHECK(detail::is_printed(c) == (std::isprint(i) != 0));
    CHECK(detail::is_punctuation(c) == (std::ispunct(i) != 0));
    CHECK(detail::is_beyond_ascii(c) == (i >= 128));
    CHECK(detail::to_lower(c) == static_cast<char>(std::tolower(i)));
    CHECK(detail::to_upper(c) == static_cast<char>(std::toupper(i)));
  }
}

TEST_CASE("ascii: no locale changes a class") {
  for (const char* locale : locales) {
    std::setlocale(LC_ALL, locale);
    CHECK_FALSE(detail::is_letter('\xfc'));
    CHECK(detail::to_lower('I') == 'i');
    CHECK(detail::to_lower('\xdc') == '\xdc');
  }
  std::setlocale(LC_ALL, "C");
}

TEST_CASE("ascii: equal_but_for_case compares letters without their case") {
  CHECK(detail::equal_but_for_case("", ""));
  CHECK(detail::equal_but_for_case("Host-1", "hOST-1"));
  CHECK_FALSE(detail::equal_but_for_case("Host", "Hosts"));
  CHECK_FALSE(detail::equal_but_for_case("@[", "`{"));
}
