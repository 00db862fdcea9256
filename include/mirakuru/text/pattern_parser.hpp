// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mirakuru/text/byte_classes.hpp>
#include <mirakuru/text/characters.hpp>
#include <mirakuru/text/pattern.hpp>
#include <mirakuru/text/pattern_reader.hpp>

namespace mirakuru::detail {

/// Parses an expression by recursive descent. Each function appends the states that it has read.
/// Such a part begins at its first state, and is left behind its last one.
class PatternParser : PatternReader {
 public:
  PatternParser(const std::string& expression, Pattern& pattern)
      : PatternReader{expression}, pattern_{pattern} {}

  void run() {
    classes_.split(Bytes{}.set('\n'));
    classes_.split(Bytes{}.set('\r'));
    alternatives();
    if (!rest_.empty()) refuse("a ) without a (; write \\) for the character");
    states_.push_back({.op = Op::match});
    refuse_what_no_line_has();
    find_places();
    pattern_.classes_ = classes_.members();
  }

 private:
  using Bytes = Pattern::Bytes;
  using Op = Pattern::Op;
  using State = Pattern::State;
  /// The counts of a quantifier.
  struct Times {
    int least = 1, most = 1;
  };
  enum class Atom { assertion, set, group };
  static constexpr int unbounded = -1, most_depth = 250;
  static constexpr std::size_t most_states = 50'000;

  void alternatives() {
    if (++depth_ > most_depth) refuse("more than 250 nested groups");
    const bool ignored = ignore_case_;
    Begins begins{states_.size()};
    sequence();
    while (take("|")) {
      add_alternative(begins);
      sequence();
    }
    end_choice(begins);
    ignore_case_ = ignored;
    --depth_;
  }

  void sequence() {
    while (!rest_.empty() && rest_[0] != '|' && rest_[0] != ')') {
      if (take("(?i)")) {
        ignore_case_ = true;
        continue;
      }
      const auto begin = states_.size();
      const auto kind = atom();
      const auto times = quantifier();
      if (!times) continue;
      if (rest_.starts_with('+')) refuse("a possessive quantifier; leave the last + out");
      take("?");  // lazy or greedy, the same lines match
      if (quantifier()) refuse("a quantifier after a quantifier; write \\ before a character");
      if (kind == Atom::assertion) refuse("a quantifier after an assertion");
      repeat(begin, *times);
    }
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

  Atom atom() {
    if (take("(")) {
      const bool ignored = ignore_case_;
      if (take("?")) group_kind();
      alternatives();
      ignore_case_ = ignored;
      if (!take(")")) refuse("a ( without a ); write \\( for the character");
      return Atom::group;
    }
    if (take("^")) return assertion(Op::line_begin);
    if (take("$")) return assertion(Op::line_end);
    if (take("\\b")) return assertion(Op::word_edge);
    if (take("\\B")) return assertion(Op::no_word_edge);
    const auto first = rest_;
    if (take("."))
      one_of(Characters::only('\r').others());
    else if (take("["))
      one_of(bracket());
    else if (take("\\"))
      one_of(escape());
    else if (quantifier())
      refuse(std::string{"a quantifier with nothing to repeat; write \\"} + first[0] +
             " for the character");
    else
      one_of(character());
    return Atom::set;
  }

  /// Reads the text between "(?" and a group's content.
  void group_kind() {
    if (take(":")) return;
    if (take("i:")) {
      ignore_case_ = true;
      return;
    }
    for (const std::string_view ahead : {"=", "!"})
      if (take(ahead)) refuse("the look-ahead (?" + std::string{ahead} + "; use a callable");
    for (const std::string_view behind : {"<=", "<!"})
      if (take(behind)) refuse("the look-behind (?" + std::string{behind} + "; use a callable");
    if (take("<")) {
      const auto size = std::min(rest_.find('>'), rest_.size());
      const auto name = rest_.substr(0, size);
      const bool odd = std::any_of(name.begin(), name.end(), [](char c) {
        return !is_word(c) && c != '$' && !is_beyond_ascii(c);
      });
      if (name.empty() || odd || is_digit(name[0]) || size == rest_.size())
        refuse("a group without a proper name");
      rest_.remove_prefix(size + 1);
      return;
    }
    constexpr std::pair<std::string_view, const char*> others[] = {
        {"P<", "the group (?P<; write (?<"},     {"P=", "a back reference (?P=; use a callable"},
        {"'", "the group (?'; write (?<name>"},  {">", "the atomic group (?>; write (?:"},
        {"#", "a comment (?#; leave it out"},    {"|", "the group (?|; write (?:"},
        {"R", "a recursion (?R; use a callable"}};
    for (const auto& [begin, problem] : others)
      if (rest_.starts_with(begin)) refuse(problem);
    for (const char c : rest_) {
      if (c == 'i') continue;
      if (c == 's') refuse("the flag s; leave it out, a match stays in one line");
      if (c == 'm') refuse("the flag m; leave it out, ^ and $ are the ends of each line");
      if (c == 'x') refuse("the flag x; leave it out, and write no extra blanks");
      if (is_letter(c) || c == '-') refuse(std::string{"the flag "} + c + "; leave it out");
      break;
    }
    refuse("a ( with a ? after it; write \\( or \\? for the character");
  }

  Atom assertion(Op op) {
    pattern_.asks_begin_ |= op == Op::line_begin;
    if (op == Op::word_edge || op == Op::no_word_edge) {
      pattern_.asks_edges_ = true;
      classes_.split(Characters::all(is_word).bytes);
      if (op == Op::no_word_edge) ask_place();
    }
    add({.op = op});
    return Atom::assertion;
  }

  void one_of(const Characters& set) {
    if (set.all_beyond()) return add_set(Op::unit, set.bytes | ~Characters::ascii());
    auto sequences = set.sequences();
    const bool no_stray = set.stray.none();
    if (set.bytes.any() || (sequences.empty() && no_stray))
      sequences.insert(sequences.begin(), {set.bytes});
    Begins begins{states_.size()};
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      if (i > 0) add_alternative(begins);
      for (const auto& bytes : sequences[i]) add_set(Op::bytes, bytes);
    }
    if (!no_stray) {
      if (!sequences.empty()) add_alternative(begins);
      add_set(Op::stray, set.stray);
    }
    end_choice(begins);
  }

  void add_set(Op op, const Bytes& bytes) {
    classes_.split(bytes);
    if (op != Op::bytes) ask_place();
    add({.op = op, .bytes = bytes});
  }

  /// Splits the classes where the bytes differ in UTF-8.
  void ask_place() {
    if (!std::exchange(pattern_.asks_place_, true)) classes_.split_by_place();
  }

  void check_size(std::size_t more) const {
    if (states_.size() + more > most_states)
      refuse("more than " + std::to_string(most_states) + " states");
  }
  void add(const State& state) {
    check_size(1);
    states_.push_back(state);
  }
  void insert(std::size_t at, const State& state) {
    check_size(1);
    states_.insert(states_.begin() + static_cast<std::ptrdiff_t>(at), state);
  }
  [[nodiscard]] std::uint32_t size_from(std::size_t begin) const {
    return static_cast<std::uint32_t>(states_.size() - begin);
  }

  /// Where the alternatives of a choice begin. All but the last begin with a fork.
  using Begins = std::vector<std::size_t>;

  void add_alternative(Begins& begins) {
    insert(begins.back(), {.op = Op::fork, .other = size_from(begins.back()) + 1});
    begins.push_back(states_.size());
  }
  /// Leaves each alternative behind the last state.
  void end_choice(const Begins& begins) {
    for (std::size_t i = 0; i + 1 < begins.size(); ++i) {
      redirect(begins[i] + 1, begins[i + 1], states_.size());
      if (begins[i] + 1 == begins[i + 1]) states_[begins[i]].next = size_from(begins[i]);
    }
  }
  /// Lets a part go on at `target`.
  void redirect(std::size_t begin, std::size_t end, std::size_t target) {
    for (auto i = static_cast<std::uint32_t>(begin); i < end; ++i)
      for (auto* const offset : {&states_[i].next, &states_[i].other})
        if (i + *offset == end) *offset = static_cast<std::uint32_t>(target) - i;
  }

  /// Appends a copy of a part.
  void copy(std::size_t begin, std::uint32_t size) {
    check_size(size);
    for (std::size_t i = begin; i < begin + size; ++i) states_.push_back(State{states_[i]});
  }

  /// Repeats the part at the end as often as a quantifier says.
  void repeat(std::size_t begin, Times times) {
    const auto size = size_from(begin);
    if (times.most == 0) states_.resize(begin);
    if (times.most == 0 || size == 0) return;
    const State fork{.op = Op::fork, .other = size + 1};
    for (int i = 1; i < times.least; ++i) copy(begin, size);
    if (times.least == 0) insert(begin++, fork);
    if (times.most != unbounded) {
      for (int i = std::max(times.least, 1); i < times.most; ++i) {
        add(fork);
        copy(begin, size);
      }
    } else if (times.least > 0 && size > 1) {
      add({.op = Op::fork, .next = 0 - size, .other = 1});
    } else {
      if (times.least > 0) {
        add(fork);
        copy(begin, size);
      }
      const auto loop = states_.size() - size;
      redirect(loop, states_.size(), loop - 1);
      // A loop may take a character byte by byte: no set matches within one.
      if (size == 1 && states_[loop].op == Op::unit) states_[loop].op = Op::bytes;
    }
  }

  /// Refuses an expression that no line can match, and says why.
  void refuse_what_no_line_has() const {
    if (can_match({})) return;
    if (can_match({.newline = true})) refuse("text after a newline, and no line can have that");
    if (can_match({.end = true}))
      refuse("text after the line's end, and no line can have that; write \\$ for the character");
    if (can_match({.begin = true}))
      refuse(
          "text before the line's begin, and no line can have that; write \\^ for the character");
    refuse("parts that no line can have together");
  }

  /// Facts of lines that are taken for plain characters.
  struct Ignored {
    bool newline = false, end = false, begin = false;
  };

  /// True if a path leads to the match. Neighbours are not looked at, so there may be no line.
  [[nodiscard]] bool can_match(Ignored ignored) const {
    enum { at_begin, inside, at_end, after_newline, count };
    std::vector<bool> seen(states_.size() * count);
    std::vector<std::size_t> pending{at_begin, inside};
    while (!pending.empty()) {
      const auto place = pending.back();
      pending.pop_back();
      if (seen[place]) continue;
      seen[place] = true;
      const auto i = static_cast<std::uint32_t>(place / count);
      const auto where = place % count;
      const auto& state = states_[i];
      const auto go = [&](std::uint32_t to, std::size_t there) {
        pending.push_back(std::size_t{to} * count + there);
      };
      switch (state.op) {
        case Op::match:
          return true;
        case Op::bytes:
        case Op::unit:
        case Op::stray: {
          const bool newline = state.bytes['\n'] && where != after_newline;
          const bool others = Bytes{state.bytes}.reset('\n').any();
          if (newline) go(i + state.next, ignored.newline ? inside : after_newline);
          if (others && (where == at_begin || where == inside)) go(i + state.next, inside);
          break;
        }
        case Op::fork:
          go(i + state.other, where);
          go(i + state.next, where);
          break;
        case Op::line_begin:
          if (ignored.begin || where == at_begin || where == at_end) go(i + state.next, where);
          break;
        case Op::line_end:
          go(i + state.next, ignored.end || where == after_newline ? where : std::size_t{at_end});
          break;
        case Op::word_edge:
          if (where != after_newline) go(i + state.next, where);
          break;
        case Op::no_word_edge:
          go(i + state.next, where);
          break;
      }
    }
    return false;
  }

  /// Marks the states that ask for the place in a character, themselves or without a byte more.
  void find_places() {
    for (bool changed = pattern_.asks_place_; changed;) {
      changed = false;
      for (auto i = static_cast<std::uint32_t>(states_.size()); i-- > 0;) {
        auto& state = states_[i];
        if (state.asks_place || state.op == Op::match || state.op == Op::bytes) continue;
        state.asks_place = state.op == Op::unit || state.op == Op::stray ||
                           state.op == Op::no_word_edge || states_[i + state.next].asks_place ||
                           (state.op == Op::fork && states_[i + state.other].asks_place);
        changed |= state.asks_place;
      }
    }
  }

  Pattern& pattern_;
  std::vector<State>& states_ = pattern_.states_;
  ByteClasses classes_;
  int depth_ = 0;
};

inline Pattern::Pattern(const std::string& expression) { PatternParser{expression, *this}.run(); }

}  // namespace mirakuru::detail
