// SPDX-License-Identifier: BSL-1.0
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/text/characters.hpp>

using namespace std::string_literals;
using mirakuru::detail::Characters;
using mirakuru::detail::continues_character;
using mirakuru::detail::place_after;
using mirakuru::detail::utf8;
using mirakuru::detail::UTF8Place;

namespace {

/// True if one sequence takes the text.
bool takes(const std::vector<Characters::Sequence>& sequences, std::string_view text) {
  for (const auto& sequence : sequences) {
    bool all = sequence.size() == text.size();
    for (std::size_t i = 0; all && i < text.size(); ++i)
      all = sequence[i][static_cast<unsigned char>(text[i])];
    if (all) return true;
  }
  return false;
}

bool is_surrogate(int character) { return character >= 0xd800 && character < 0xe000; }

/// True if the text is one character: each byte but the first continues it, and none is missing.
bool is_character(std::string_view text) {
  UTF8Place place = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (i > 0 && !continues_character(place, byte)) return false;
    place = place_after(place, byte);
    if (i == 0 && place == 0) return byte < 0x80 && text.size() == 1;
  }
  return place == 0;
}

}  // namespace

TEST_CASE("UTF8Place: it knows each character, and nothing else") {
  for (int character = 0; character <= Characters::last_beyond; character += 61) {
    CAPTURE(character);
    CHECK(is_character(utf8(character)) == !is_surrogate(character));
  }
  for (const char* text :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xc3(", "\xe0\x9f\xbf", "\xe2\x82", "\xed\xa0\x80",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xc3\xbc\xbc"})
    CHECK_FALSE(is_character(text));
  for (UTF8Place place = 0; place < 8; ++place) CHECK_FALSE(continues_character(place, 256));
}

TEST_CASE("Characters: the sequences of a range take its characters and no others") {
  for (const auto& [first, last] : {Characters::Range{0x80, 0x80},
                                    {0xfc, 0xfc},
                                    {0xe0, 0x17f},
                                    {0x7ff, 0x800},
                                    {0x400, 0x20ac},
                                    {0xd7ff, 0xe000},
                                    {0xd800, 0xdfff},
                                    {0xffff, 0x10000},
                                    {0x2713, 0x1f680},
                                    {0x80, Characters::last_beyond}}) {
    CAPTURE(first);
    CAPTURE(last);
    Characters set;
    set.beyond = {{first, last}};
    const auto sequences = set.sequences();
    CHECK(sequences.size() < 25);
    for (int character = 0x80; character <= Characters::last_beyond;
         character += character < 0x3000 ? 1 : 97) {
      const bool in = character >= first && character <= last && !is_surrogate(character);
      if (takes(sequences, utf8(character)) != in) FAIL_CHECK(character);
    }
    CHECK(takes(sequences, utf8(first)) == !is_surrogate(first));
    CHECK(takes(sequences, utf8(last)) == !is_surrogate(last));
  }
}

TEST_CASE("Characters: the others are all but the set and the newline") {
  auto set = Characters::only('a');
  set.beyond = {{0x2713, 0x2714}, {0xe0, 0xff}, {0xf0, 0x100}};
  const auto others = set.others();
  CHECK(others.bytes.count() == 126);
  CHECK_FALSE(others.bytes['a']);
  CHECK_FALSE(others.bytes['\n']);
  CHECK(others.stray.count() == 128);
  CHECK(others.beyond == std::vector<Characters::Range>{
                             {0x80, 0xdf}, {0x101, 0x2712}, {0x2715, Characters::last_beyond}});
  CHECK_FALSE(others.all_beyond());
  CHECK(Characters::only('a').others().all_beyond());
  CHECK(others.others().beyond == std::vector<Characters::Range>{{0xe0, 0x100}, {0x2713, 0x2714}});
  CHECK(others.others().stray.none());
}

TEST_CASE("Characters: a byte in the set takes the characters that it begins from the others") {
  for (int byte = 0xc2; byte <= 0xf4; ++byte) {
    CAPTURE(byte);
    const auto others = Characters::only(static_cast<char>(byte)).others();
    CHECK_FALSE(others.stray[static_cast<std::size_t>(byte)]);
    const auto sequences = others.sequences();
    for (int character = 0x80; character <= Characters::last_beyond; character += 997) {
      if (is_surrogate(character)) continue;
      const auto text = utf8(character);
      const bool begins = static_cast<unsigned char>(text[0]) == byte;
      if (takes(sequences, text) == begins) FAIL_CHECK(character);
    }
  }
}

TEST_CASE("Characters: ignore_case() adds the other case of ASCII letters") {
  auto set = Characters::only('q');
  set |= Characters::only('Z');
  set |= Characters::only('1');
  set.ignore_case();
  CHECK(set.bytes.count() == 5);
  for (const char c : "qQzZ1"s) CHECK(set.bytes[static_cast<unsigned char>(c)]);
}
