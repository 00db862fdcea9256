// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <mirakuru/detail/config.hpp>

namespace mirakuru::detail {

/// A regular expression that is searched for in lines, in time linear in their length and with a
/// stack that does not depend on it.
///
/// The syntax is ECMAScript's, of bytes and without what needs backtracking: look-ahead and back
/// references. Groups capture nothing, and lazy quantifiers find what greedy ones find.
/// Throws `std::invalid_argument` for what is no such expression. Source: ECMA-262, 22.2.1.
class Pattern {
 public:
  explicit Pattern(const std::string& expression);

  /// True when the expression is found in a line of `text`.
  [[nodiscard]] bool found_in(std::string_view text) const;

 private:
  friend class PatternSearch;

  using Bytes = std::bitset<256>;
  enum class Op : std::uint8_t {
    bytes,
    fork,
    line_begin,
    line_end,
    word_edge,
    no_word_edge,
    match
  };
  /// A state of the automaton; `next` and, of a fork, `other` are where it goes on.
  struct State {
    Op op;
    std::uint32_t next = 0, other = 0;
    Bytes bytes = {};
  };
  class Parser;

  std::vector<State> states_;
  std::uint32_t start_ = 0;
};

/// A search under way: takes a text in pieces, and sees each byte once.
///
/// The automaton's sets of states are turned into a table while they occur; the table is thrown
/// away when it has grown to half a megabyte.
class PatternSearch {
 public:
  /// The pattern must outlive the search.
  explicit PatternSearch(const Pattern& pattern);
  PatternSearch(PatternSearch&&) = default;  // not copied: the table points into the map's nodes

  /// Goes on with the next bytes of the text. True once the pattern has been found in a line; a
  /// last line that has no end yet counts as if it ended here.
  bool feed(std::string_view bytes);
  /// Begins another text.
  void restart() noexcept { current_ = start_; }

 private:
  /// A row of the table by its place: the number of its set times 256.
  using Entry = std::uint32_t;
  static constexpr Entry row = 256, unknown = 0, found = row, most_sets = 512;
  static constexpr int end_of_line = 256;

  /// States of the automaton before the next byte, and what the last byte was.
  struct Set {
    std::vector<std::uint32_t> states;
    bool line_begin = false, after_word = false;
    auto operator<=>(const Set&) const = default;
  };

  [[nodiscard]] Entry intern(Set set);
  [[nodiscard]] Entry step(Entry from, unsigned char byte);
  /// What the states reach before `symbol`, a byte or `end_of_line`, without taking it.
  [[nodiscard]] bool reach(const Set& set, int symbol);

  const Pattern* pattern_;
  std::map<Set, Entry> entries_;
  std::vector<const Set*> sets_;
  std::vector<Entry> table_;  // of 256 bytes each
  std::vector<char> reached_;
  std::vector<std::uint32_t> pending_;
  Entry start_ = unknown, current_ = unknown;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/impl/pattern.ipp>
#endif
