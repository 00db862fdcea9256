// SPDX-License-Identifier: BSL-1.0
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include <mirakuru/text/terminal_text.hpp>

using mirakuru::detail::TerminalText;

namespace {

std::string plain(std::string_view text) {
  TerminalText whole;
  std::string result;
  whole.feed(text, result);
  // Pieces make no difference.
  TerminalText bytewise;
  std::string same;
  for (const char& c : text) bytewise.feed({&c, 1}, same);
  CHECK(same == result);
  return result;
}

}  // namespace

TEST_CASE("TerminalText: colours, titles and carriage returns") {
  CHECK(plain("plain\n") == "plain\n");
  CHECK(plain("\x1b[1;32mready\x1b[0m now") == "ready now");
  CHECK(plain("\x1b[38;2;1;2;3mx\x1b[K\x1b[2J") == "x");
  CHECK(plain("\x1b]0;a title\ax\x1b]8;;http://x\x1b\\link") == "xlink");
  CHECK(plain("\x1b(Bx\x1bMy") == "xy");
  CHECK(plain("10%\r50%\r100%\r\nnext") == "10%\n50%\n100%\nnext");
  CHECK(plain("\r\r\n") == "\n\n");
  CHECK(plain("waits\r") == "waits");
  CHECK(plain("a\x1b[not a sequence") == "aot a sequence");
  CHECK(plain("a\x1b[12\nb\x1b]title\nc") == "a\nb\nc");
}

TEST_CASE("TerminalText: a plain text need not be fed") {
  TerminalText text;
  std::string result;
  CHECK_FALSE(text.wants("plain text\n"));
  CHECK(text.wants("a\rb"));
  CHECK(text.wants("a\x1b"));
  text.feed("a\x1b", result);
  CHECK(text.wants("[0mb"));
  text.feed("[0mb", result);
  CHECK_FALSE(text.wants("c"));
  CHECK(result == "ab");
}
