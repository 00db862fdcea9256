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

/// Searches lines for a regular expression. The time is linear in the length of the text, and the
/// stack does not grow with it. A line ends with "\n" or "\r\n", which do not belong to it.
///
/// The syntax is ECMAScript's, on bytes. A character beyond ASCII is its UTF-8 bytes, also in
/// brackets and before a quantifier. `\uXXXX` stands for all of these bytes; brackets refuse it.
/// Groups capture nothing. A lazy quantifier finds the same lines as a greedy one.
///
/// The constructor throws `std::invalid_argument` for a wrong expression, and for
/// - an expression that needs backtracking: look-ahead `(?=`, `(?!` and back references `\1`;
/// - a count above 10,000, more than 250 nested groups, or more than 50,000 states. Each character,
///   `[...]`, `*` and `|` costs about one state, and `{...}` repeats the states of its operand.
///
/// Source: ECMA-262, 22.2.1 and B.1.2; classes like `[[:alpha:]]` come from <regex>.
///
/// The engine is our own because a banner check reads hostile output against a deadline. A
/// `std::regex_search` can neither be interrupted nor fed in pieces, and it backtracks. With GCC 12
/// `x.*done` takes 1.46 s on one line of 4,096 times x, and crashes on 100,000. <regex> also costs
/// every user more: a file that includes it compiles in 1.99 s, with this engine in 1.37 s.
class Pattern {
 public:
  explicit Pattern(const std::string& expression);

  /// True if a line of `text` matches.
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
  /// A state of the automaton. It continues at `next`, a fork also at `other`.
  struct State {
    Op op;
    std::uint32_t next = 0, other = 0;
    Bytes bytes = {};
  };
  class Parser;

  std::vector<State> states_;
  std::vector<std::string> classes_;  // bytes that no state distinguishes
  bool asks_begin_ = false, asks_edges_ = false;
  std::uint32_t start_ = 0;
};

/// Searches a text that comes in pieces, and reads each byte once.
///
/// It builds a table from the automaton's sets of states as they occur, and drops the table at half
/// a megabyte. If only a few bytes leave a set, `memchr` looks for them, because most tests are
/// built without optimisation: 64 MB of one line then take 10 ms in place of 200 ms.
class PatternSearch {
 public:
  /// The pattern must outlive the search.
  explicit PatternSearch(const Pattern& pattern);
  PatternSearch(PatternSearch&&) = default;  // not copied: the table points into the map's nodes

  /// Reads the next bytes of the text. Stops early at a match that no later byte can undo, and, if
  /// the search is slow, at `until`. Returns the number of bytes read, at least 1 of a non-empty
  /// piece unless the search has ended.
  std::size_t take(std::string_view bytes, Clock::time_point until = Clock::time_point::max());
  /// True if a line has matched. An unfinished last line counts as if it ended here, so the answer
  /// can become false again.
  [[nodiscard]] bool found();
  /// True if a line has matched and no later byte can undo it.
  [[nodiscard]] bool found_for_good() const noexcept { return current_ == is_found; }
  /// Calls `take`, then `found`.
  bool feed(std::string_view bytes) {
    take(bytes);
    return found();
  }
  /// Begins a new text.
  void restart() noexcept { current_ = start_; }

 private:
  /// A row's place in the table: the number of its set times 256. The rows `unknown` and `is_found`
  /// lead to themselves.
  using Entry = std::uint32_t;
  static constexpr Entry row = 256, unknown = 0, is_found = row, most_sets = 512;
  static constexpr std::size_t most_states = 1 << 18;  // in all sets together
  static constexpr int end_of_line = 256;

  /// The automaton's states before the next byte, and three facts about the last byte: it began a
  /// line; it belongs to a word; it is a "\r" at which the line would have matched if it ended.
  struct Set {
    std::vector<std::uint32_t> states = {};
    bool line_begin = false, after_word = false, ended = false;
    bool operator<(const Set& other) const;
    bool operator==(const Set&) const = default;
  };
  struct Row {
    static constexpr std::size_t few = 3;
    const Set* set = nullptr;
    enum : std::uint8_t { not_known, no, yes } ends = not_known;  // matches if the line ends here
    enum : std::uint8_t { no_idea, by_few, by_many } left = no_idea;
    std::size_t count = 0;
    char leaving[few] = {};
  };

  void forget();
  [[nodiscard]] Entry intern(Set set);
  /// Follows `byte` from a row that does not know it, and fills in the result.
  [[nodiscard]] Entry step(Entry from, unsigned char byte);
  /// Computes the set that follows `set` on a byte or `end_of_line`. True if the pattern matches
  /// before that symbol.
  [[nodiscard]] bool advance(const Set& set, int symbol, Set& next);
  [[nodiscard]] bool ends(Entry entry);
  void fill_in(Entry from, const std::string& bytes, Entry to);
  void find_leaving(Entry entry);
  /// Follows the table until its first unknown place or a match.
  [[nodiscard]] const unsigned char* run(const unsigned char* at, const unsigned char* end);

  const Pattern* pattern_;
  std::map<Set, Entry> entries_;
  std::vector<Row> rows_;
  std::vector<Entry> table_;         // 256 entries a row, one for each byte
  std::vector<std::uint64_t> seen_;  // the number of the last advance() that saw a state
  std::vector<std::uint64_t> next_;  // one bit for each state
  std::vector<std::uint32_t> pending_;
  std::uint64_t advances_ = 0;
  std::size_t kept_states_ = 0, effort_ = 0;
  Entry start_ = unknown, current_ = unknown;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/text/pattern.ipp>
#endif
