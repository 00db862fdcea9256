// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <mirakuru/os/ascii.hpp>

namespace mirakuru::detail {

/// The place in a UTF-8 character after a byte of it; 0 between two characters.
///
/// Places 1 to 3 are the number of bytes that follow. The second byte after E0, ED, F0 and F4 is
/// restricted, which places 4 to 7 say. Source: RFC 3629, 4.
using UTF8Place = std::uint8_t;

/// True if a byte continues the character. False for a number beyond a byte.
constexpr bool continues_character(UTF8Place place, int byte) {
  constexpr std::array<int, 8> first{0x100, 0x80, 0x80, 0x80, 0xa0, 0x80, 0x90, 0x80},
      last{0, 0xbf, 0xbf, 0xbf, 0xbf, 0x9f, 0xbf, 0x8f};
  return byte >= first[place] && byte <= last[place];
}

/// The place after a byte. A byte that does not continue the character begins the next one.
constexpr UTF8Place place_after(UTF8Place place, int byte) {
  if (continues_character(place, byte))
    return static_cast<UTF8Place>(place < 4 ? place - 1 : place < 6 ? 1 : 2);
  if (byte < 0xc2 || byte > 0xf4) return 0;
  if (byte == 0xe0 || byte == 0xed) return byte == 0xe0 ? 4 : 5;
  if (byte == 0xf0 || byte == 0xf4) return byte == 0xf0 ? 6 : 7;
  return byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
}

/// The bytes of a character.
inline std::string utf8(int character) {
  const auto tail = [&](int bits) { return static_cast<char>(0x80 | (character >> bits & 0x3f)); };
  if (character < 0x80) return {static_cast<char>(character)};
  if (character < 0x800) return {static_cast<char>(0xc0 | character >> 6), tail(0)};
  if (character < 0x10000) return {static_cast<char>(0xe0 | character >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xf0 | character >> 18), tail(12), tail(6), tail(0)};
}

/// A set of characters.
struct Characters {
  using Bytes = std::bitset<256>;
  struct Range {
    int first, last;
    bool operator==(const Range&) const = default;
  };
  /// The bytes of a range of characters, one set for each byte.
  using Sequence = std::vector<Bytes>;

  static constexpr int first_beyond = 0x80, last_beyond = 0x10ffff;

  Bytes bytes = {};                // characters of ASCII, and bytes beyond it that match anywhere
  std::vector<Range> beyond = {};  // characters beyond ASCII
  Bytes stray = {};                // first bytes of text that is no UTF-8

  static Characters only(char c) { return {.bytes = Bytes{}.set(static_cast<unsigned char>(c))}; }
  /// The characters of ASCII for which `belongs` is true.
  static Characters all(bool (*belongs)(char)) {
    Characters set;
    for (std::size_t c = 0; c < first_beyond; ++c) set.bytes[c] = belongs(static_cast<char>(c));
    return set;
  }

  Characters& operator|=(const Characters& other) {
    bytes |= other.bytes;
    stray |= other.stray;
    beyond.insert(beyond.end(), other.beyond.begin(), other.beyond.end());
    return *this;
  }

  /// All characters of a line that are not in the set, and stray bytes. A character whose first
  /// byte is in the set is not among them.
  [[nodiscard]] Characters others() const {
    Characters set;
    set.bytes = (~bytes & ascii()).reset('\n');
    set.stray = ~(stray | bytes | ascii());
    auto taken = beyond;
    for (int byte = 0xc2; byte <= 0xf4; ++byte)
      if (bytes[static_cast<std::size_t>(byte)]) taken.push_back(begun_by(byte));
    std::sort(taken.begin(), taken.end(),
              [](const Range& a, const Range& b) { return a.first < b.first; });
    taken.push_back({last_beyond + 1, last_beyond + 1});
    int next = first_beyond;
    for (const auto& range : taken) {
      if (range.first > next) set.beyond.push_back({next, range.first - 1});
      next = std::max(next, range.last + 1);
    }
    return set;
  }

  /// Adds each letter of ASCII in the other case.
  void ignore_case() {
    for (std::size_t c = 'A'; c <= 'Z'; ++c) {
      const bool in = bytes[c] || bytes[c + 'a' - 'A'];
      bytes[c] = bytes[c + 'a' - 'A'] = in;
    }
  }

  /// True if each character beyond ASCII and each stray byte is in the set.
  [[nodiscard]] bool all_beyond() const {
    return (stray | ascii()).all() && std::find(beyond.begin(), beyond.end(),
                                                Range{first_beyond, last_beyond}) != beyond.end();
  }

  /// The byte sequences of the characters beyond ASCII.
  [[nodiscard]] std::vector<Sequence> sequences() const {
    std::vector<Sequence> found;
    for (const auto& range : beyond)
      // Ranges of characters with as many bytes; the surrogates are no characters.
      for (const auto& [first, last] : {Range{0x80, 0x7ff}, Range{0x800, 0xd7ff},
                                        Range{0xe000, 0xffff}, Range{0x10000, last_beyond}})
        add_sequences(std::max(first, range.first), std::min(last, range.last), found);
    return found;
  }

  static Bytes ascii() {
    Bytes all;
    for (std::size_t c = 0; c < first_beyond; ++c) all.set(c);
    return all;
  }

 private:
  /// The characters that a byte begins.
  static Range begun_by(int byte) {
    const int bits = byte < 0xe0 ? 6 : byte < 0xf0 ? 12 : 18;
    const int first = (byte & (byte < 0xe0 ? 0x1f : byte < 0xf0 ? 0xf : 0x7)) << bits;
    return {std::max(first, bits == 12   ? 0x800
                            : bits == 18 ? 0x10000
                                         : first_beyond),
            std::min(first + (1 << bits) - 1, last_beyond)};
  }

  /// Splits a range until only whole last bytes vary, so that each byte has a set of its own.
  static void add_sequences(int first, int last, std::vector<Sequence>& found) {
    if (first > last) return;
    for (int bits = 6; bits <= 18; bits += 6) {
      const int low = (1 << bits) - 1;
      if ((first & ~low) == (last & ~low)) continue;
      if ((first & low) != 0) {
        add_sequences(first, first | low, found);
        return add_sequences((first | low) + 1, last, found);
      }
      if ((last & low) != low) {
        add_sequences(first, (last & ~low) - 1, found);
        return add_sequences(last & ~low, last, found);
      }
    }
    const auto from = utf8(first), to = utf8(last);
    Sequence sequence(from.size());
    for (std::size_t i = 0; i < from.size(); ++i)
      for (auto byte = static_cast<unsigned char>(from[i]);; ++byte) {
        sequence[i].set(byte);
        if (byte == static_cast<unsigned char>(to[i])) break;
      }
    found.push_back(sequence);
  }
};

}  // namespace mirakuru::detail
