// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/config.hpp>

namespace mirakuru::detail {

/// A regular expression that is searched for in lines, in time linear in their length and with a
/// stack that does not depend on it. A line ends with "\n" or "\r\n", which are no part of it.
///
/// The syntax is ECMAScript's, of bytes: a character beyond ASCII is the bytes of its UTF-8, in
/// brackets and before a quantifier too, and `\uXXXX` is all of them, but not in brackets. Groups
/// capture nothing, and lazy quantifiers find what greedy ones find.
///
/// Throws `std::invalid_argument` for what is no such expression, and for
/// - what needs backtracking: look-ahead `(?=`, `(?!` and back references `\1`;
/// - a count above 10,000, groups more than 250 deep in each other, and more than 50,000 states:
///   about one for each character, `[...]`, `*`, `|`, and as many again for each repetition that
///   `{...}` asks for.
///
/// Source: ECMA-262, 22.2.1 and B.1.2; `[[:alpha:]]` and its like from <regex>.
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
  std::vector<std::string> classes_;  // of bytes that are the same to every state
  bool asks_begin_ = false, asks_edges_ = false;
  std::uint32_t start_ = 0;
};

/// A search under way: takes a text in pieces, and sees each byte once.
///
/// The automaton's sets of states are turned into a table while they occur; the table is thrown
/// away when it has grown to half a megabyte. Where a set is left by few bytes only, the C library
/// looks for these: tests are built without optimisation as a rule.
class PatternSearch {
 public:
  /// The pattern must outlive the search.
  explicit PatternSearch(const Pattern& pattern);
  PatternSearch(PatternSearch&&) = default;  // not copied: the table points into the map's nodes

  /// Goes on with the next bytes of the text: until the pattern is found in a line, whatever
  /// follows, or, where the search is slow, until a moment. How many bytes it has taken.
  std::size_t take(std::string_view bytes, Clock::time_point until = Clock::time_point::max());
  /// True once the pattern has been found. A last line that has no end yet counts as if it ended
  /// here, which is asked anew each time.
  [[nodiscard]] bool found();
  /// True once it has been found whatever follows.
  [[nodiscard]] bool found_for_good() const noexcept { return current_ == is_found; }
  /// Both.
  bool feed(std::string_view bytes) {
    take(bytes);
    return found();
  }
  /// Begins another text.
  void restart() noexcept { current_ = start_; }

 private:
  /// A row of the table by its place: the number of its set times 256. Those that are not known, or
  /// where the pattern has been found, lead to themselves.
  using Entry = std::uint32_t;
  static constexpr Entry row = 256, unknown = 0, is_found = row, most_sets = 512;
  static constexpr std::size_t most_states = 1 << 18;  // of all sets
  static constexpr int end_of_line = 256;

  /// States of the automaton before the next byte, and what the last byte was: at a line's begin, a
  /// character of a word, a "\r" before which the line may have ended with the pattern found.
  struct Set {
    std::vector<std::uint32_t> states = {};
    bool line_begin = false, after_word = false, ended = false;
    bool operator<(const Set& other) const;
    bool operator==(const Set&) const = default;
  };
  struct Row {
    static constexpr std::size_t few = 3;
    const Set* set = nullptr;
    enum : std::uint8_t { not_known, no, yes } ends = not_known;  // found if the line ends here
    enum : std::uint8_t { no_idea, by_few, by_many } left = no_idea;
    std::size_t count = 0;
    char leaving[few] = {};
  };

  void forget();
  [[nodiscard]] Entry intern(Set set);
  /// Follows `byte` where the table does not; fills in what it comes to.
  [[nodiscard]] Entry step(Entry from, unsigned char byte);
  /// What a byte or `end_of_line` makes of a set. True when the pattern is found before it.
  [[nodiscard]] bool advance(const Set& set, int symbol, Set& next);
  [[nodiscard]] bool ends(Entry entry);
  void fill_in(Entry from, const std::string& bytes, Entry to);
  void find_leaving(Entry entry);
  /// Goes on as far as the table is known.
  [[nodiscard]] const unsigned char* run(const unsigned char* at, const unsigned char* end);

  const Pattern* pattern_;
  std::map<Set, Entry> entries_;
  std::vector<Row> rows_;
  std::vector<Entry> table_;         // of 256 bytes each
  std::vector<std::uint64_t> seen_;  // in which advance() a state was seen last
  std::vector<std::uint64_t> next_;  // a bit for each state
  std::vector<std::uint32_t> pending_;
  std::uint64_t advances_ = 0;
  std::size_t kept_states_ = 0, effort_ = 0;
  Entry start_ = unknown, current_ = unknown;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/text/pattern.ipp>
#endif
