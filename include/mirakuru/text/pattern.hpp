// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <mirakuru/text/pattern_reader.hpp>

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
  explicit Pattern(const std::string& expression) { Parser{expression, *this}.run(); }

  /// True if a line of `text` matches. Its definition is in text/pattern_search.hpp.
  [[nodiscard]] bool found_in(std::string_view text) const;

 private:
  friend class PatternSearch;

  using Bytes = PatternReader::Bytes;
  enum class Op { bytes, fork, line_begin, line_end, word_edge, no_word_edge, match };
  /// A state of the automaton. It continues `next` states further on, a fork also `other` states
  /// further on. To go back, an offset wraps around.
  struct State {
    Op op;
    std::uint32_t next = 1, other = 0;
    Bytes bytes = {};
  };
  /// A part of the automaton. It begins at its first state, and is left behind its last one.
  using Part = std::vector<State>;

  /// Parses an expression by recursive descent. Each function returns the part that it has read.
  class Parser : PatternReader {
   public:
    Parser(const std::string& expression, Pattern& pattern)
        : PatternReader{expression}, pattern_{pattern} {}

    void run() {
      pattern_.classes_ = {{}};
      for (int c = 0; c < 256; ++c) pattern_.classes_[0] += static_cast<char>(c);
      split_classes(only('\n'));
      split_classes(only('\r'));
      pattern_.states_ = alternatives();
      if (!rest_.empty()) refuse("a ) without a (");
      pattern_.states_.push_back({.op = Op::match});
    }

   private:
    /// The counts of a quantifier.
    struct Times {
      int least = 1, most = 1;
    };
    static constexpr int unbounded = -1, most_depth = 250;
    static constexpr std::size_t most_states = 50'000;

    Part alternatives() {
      if (++depth_ > most_depth) refuse("more than 250 nested groups");
      std::vector<Part> parts;
      std::uint32_t left = 0;  // the parts that follow, each with a fork
      do {
        parts.push_back(sequence());
        left += size(parts.back()) + 1;
      } while (take("|"));
      --depth_;
      Part choice;
      for (const auto& part : parts) {
        left -= size(part) + 1;
        if (left == 0) {
          append(choice, part);
        } else {
          const auto first = part.empty() ? left : 1;
          choice.push_back({.op = Op::fork, .next = first, .other = size(part) + 1});
          append(choice, part, left - 1);
        }
      }
      return choice;
    }

    Part sequence() {
      Part whole;
      while (!rest_.empty() && rest_[0] != '|' && rest_[0] != ')') {
        const bool group = rest_[0] == '(';
        const auto part = atom();
        const auto times = quantifier();
        if (times) {
          take("?");  // lazy or greedy, the same lines match
          if (quantifier()) refuse("a quantifier after a quantifier");
          if (!group && part[0].op != Op::bytes) refuse("a quantifier after an assertion");
        }
        repeat(whole, part, times.value_or(Times{}));
      }
      return whole;
    }

    /// Reads a quantifier, if there is one. A brace that begins none is a character.
    std::optional<Times> quantifier() {
      if (take("*")) return Times{0, unbounded};
      if (take("+")) return Times{1, unbounded};
      if (take("?")) return Times{0, 1};
      const auto before = rest_;
      Times times;
      if (take("{") && number(times.least)) {
        times.most = times.least;
        if (take(",") && !number(times.most)) times.most = unbounded;
        if (take("}")) {
          if (std::max(times.least, times.most) > most_repeats)
            refuse("a count above " + std::to_string(most_repeats));
          if (times.most != unbounded && times.most < times.least)
            refuse("bounds in the wrong order");
          return times;
        }
      }
      rest_ = before;
      return {};
    }

    Part atom() {
      if (take("(")) {
        if (!take("?:") && rest_.starts_with('?')) refuse("a (? without a : after it");
        const auto group = alternatives();
        if (!take(")")) refuse("a ( without a )");
        return group;
      }
      if (take("^")) return assertion(Op::line_begin);
      if (take("$")) return assertion(Op::line_end);
      if (take("\\b")) return assertion(Op::word_edge);
      if (take("\\B")) return assertion(Op::no_word_edge);
      if (take(".")) return one_of((~Bytes{}).reset('\n').reset('\r'));
      if (take("[")) return one_of(bracket());
      if (take("\\u")) return character(code_unit());
      if (take("\\")) return one_of(escape());
      if (quantifier()) refuse("a quantifier with nothing to repeat");
      return one_of(only(next()));
    }

    /// The UTF-8 bytes of a character.
    Part character(int code) {
      Part bytes;
      const auto add = [&](int value) { append(bytes, one_of(only(static_cast<char>(value)))); };
      if (code < 0x80) return one_of(only(static_cast<char>(code)));
      add(code < 0x800 ? 0xc0 | code >> 6 : 0xe0 | code >> 12);
      if (code >= 0x800) add(0x80 | (code >> 6 & 0x3f));
      add(0x80 | (code & 0x3f));
      return bytes;
    }

    Part assertion(Op op) {
      pattern_.asks_begin_ |= op == Op::line_begin;
      if (op == Op::word_edge || op == Op::no_word_edge) {
        pattern_.asks_edges_ = true;
        split_classes(word());
      }
      return {{.op = op}};
    }
    Part one_of(const Bytes& bytes) {
      split_classes(bytes);
      return {{.op = Op::bytes, .bytes = bytes}};
    }

    /// Splits each class that is partly in `bytes`.
    void split_classes(const Bytes& bytes) {
      auto& classes = pattern_.classes_;
      if (bytes.count() == 1 && (bytes & alone_).any()) return;
      if (bytes.count() == 1) alone_ |= bytes;
      for (std::size_t i = classes.size(); i-- > 0;) {
        if (classes[i].size() == 1) continue;
        std::string in, out;
        for (const char c : classes[i]) (bytes[static_cast<unsigned char>(c)] ? in : out) += c;
        if (in.empty() || out.empty()) continue;
        classes[i] = std::move(in);
        classes.push_back(std::move(out));
      }
    }

    static std::uint32_t size(const Part& part) { return static_cast<std::uint32_t>(part.size()); }

    /// Appends `part`. It is left `beyond` states further on than behind its last state.
    void append(Part& whole, Part part, std::uint32_t beyond = 0) {
      if (whole.size() + part.size() >= most_states)
        refuse("more than " + std::to_string(most_states) + " states");
      for (std::uint32_t i = 0; beyond != 0 && i < part.size(); ++i)
        for (auto* const offset : {&part[i].next, &part[i].other})
          if (i + *offset == part.size()) *offset += beyond;
      whole.insert(whole.end(), part.begin(), part.end());
    }

    /// Appends `part` as often as a quantifier says.
    void repeat(Part& whole, const Part& part, Times times) {
      const State fork{.op = Op::fork, .other = size(part) + 1};
      for (int i = 0; i < times.least; ++i) append(whole, part);
      if (times.most == unbounded) {
        whole.push_back(fork);
        append(whole, part, 0 - fork.other);
      }
      for (int i = times.least; i < times.most; ++i) {
        whole.push_back(fork);
        append(whole, part);
      }
    }

    Pattern& pattern_;
    Bytes alone_ = {};  // bytes that are a class of their own
    int depth_ = 0;
  };

  Part states_;
  std::vector<std::string> classes_;  // bytes that no state distinguishes
  bool asks_begin_ = false, asks_edges_ = false;
};

}  // namespace mirakuru::detail
