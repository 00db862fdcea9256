// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <mirakuru/text/characters.hpp>

namespace mirakuru::detail {

/// Searches lines for a regular expression. The time is linear in the length of the text, and the
/// stack does not grow with it.
///
/// A line ends with "\n" or "\r\n", or at the end of the text if it has a byte. `^` and `$` are its
/// ends. The end counts as one "\n", so that an expression may end in `\n`, `\r?\n` or `\s`. A set
/// with "\n" in it takes the end: `\n`, `\s`, `[\s\S]`. `.`, `\D`, `\W`, `\S` and `[^x]` do not.
/// `$` matches before the end and after it.
///
/// The syntax is ECMAScript's. A character is a UTF-8 character, and `.` and `[^x]` also take a
/// byte that is part of none. `\uXXXX` is a character, and two halves make one. `\xXX` is a byte.
/// `\d`, `\w`, `\s`, `\b` and `(?i)` know ASCII only. In `[\w-.]` the hyphen is itself.
///
/// Groups capture nothing, and may have a name: `(?<name>...)`. `(?i:...)` ignores the case, and
/// `(?i)` does until its group ends. A lazy quantifier finds the same lines as a greedy one.
///
/// The constructor throws `std::invalid_argument` for a wrong expression, and for
/// - an expression that needs backtracking: look-ahead `(?=`, `(?!`, look-behind `(?<=`, `(?<!`,
///   back references `\1`, and possessive quantifiers;
/// - other flags than `i`, and letters after a backslash that ECMAScript does not know;
/// - an expression that no line can match: it has text after a newline or after `$`, before `^`, or
///   needs the empty set `[]`;
/// - a count above 10,000, more than 250 nested groups, or more than 50,000 states. Each character,
///   `[...]`, `*` and `|` costs about one state, and `{...}` repeats the states of its operand. A
///   character beyond ASCII costs two to four, and a set that names some of them tens.
///
/// Source: ECMA-262, 22.2.1 and B.1.2; classes like `[[:alpha:]]` come from <regex>.
///
/// The engine is our own because a banner check reads hostile output against a deadline. A
/// `std::regex_search` can neither be interrupted nor fed in pieces, and it backtracks. With GCC 12
/// `x.*done` takes 1.46 s on one line of 4,096 times x, and crashes on 100,000. <regex> also costs
/// every user more: a file that includes it compiles in 1.99 s, with this engine in 1.37 s.
class Pattern {
 public:
  /// Its definition is in text/pattern_parser.hpp.
  explicit Pattern(const std::string& expression);

  /// True if a line of `text` matches. Its definition is in text/pattern_search.hpp.
  [[nodiscard]] bool found_in(std::string_view text) const;

 private:
  friend class PatternParser;
  friend class PatternSearch;

  using Bytes = Characters::Bytes;
  /// `bytes` takes one byte. `unit` takes a character or a stray byte by its first byte, and
  /// `stray` a stray byte only.
  enum class Op { bytes, unit, stray, fork, line_begin, line_end, word_edge, no_word_edge, match };
  /// A state of the automaton. It continues `next` states further on, a fork also `other` states
  /// further on. To go back, an offset wraps around.
  struct State {
    Op op;
    bool asks_place = false;  // whether a character begins here, perhaps in a state behind it
    std::uint32_t next = 1, other = 0;
    Bytes bytes = {};
  };

  std::vector<State> states_;
  std::vector<std::string> classes_;  // bytes that no state distinguishes
  bool asks_begin_ = false, asks_edges_ = false, asks_place_ = false;
};

}  // namespace mirakuru::detail
