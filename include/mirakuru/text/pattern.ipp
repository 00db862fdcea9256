// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <bit>
#include <cctype>
#include <cstring>
#include <stdexcept>
#include <utility>

#include <mirakuru/text/pattern.hpp>

namespace mirakuru::detail {

/// Parses an expression by recursive descent, then builds the automaton from its end to its start:
/// each build function takes the state that follows and returns the state to begin with.
class Pattern::Parser {
 public:
  Parser(const std::string& expression, Pattern& pattern)
      : expression_{expression}, rest_{expression}, pattern_{pattern} {}

  void run() {
    pattern_.classes_ = {{}};
    for (int c = 0; c < 256; ++c) pattern_.classes_[0] += static_cast<char>(c);
    split_classes(only('\n'));
    split_classes(only('\r'));
    const auto tree = alternatives();
    if (!rest_.empty()) refuse("a ) without a (");
    pattern_.start_ = build(tree, add({.op = Op::match}));
  }

 private:
  /// A node of the expression, repeated `least` to `most` times.
  struct Node {
    enum class Kind { state, sequence, choice } kind;
    State state = {.op = Op::match};
    std::vector<Node> parts = {};
    int least = 1, most = 1;
  };
  static constexpr int unbounded = -1, most_repeats = 10'000, most_depth = 250;
  static constexpr std::size_t most_states = 50'000;

  Node alternatives() {
    if (++depth_ > most_depth) refuse("more than 250 nested groups");
    Node choice{.kind = Node::Kind::choice};
    do choice.parts.push_back(sequence());
    while (take("|"));
    --depth_;
    return choice;
  }

  Node sequence() {
    Node result{.kind = Node::Kind::sequence};
    while (!rest_.empty() && rest_[0] != '|' && rest_[0] != ')') {
      auto node = atom();
      quantify(node);
      result.parts.push_back(std::move(node));
    }
    return result;
  }

  void quantify(Node& node) {
    if (!quantifier(node)) return;
    take("?");  // lazy or greedy, the same lines match
    Node nothing = node;
    if (quantifier(nothing)) refuse("a quantifier after a quantifier");
    if (node.kind == Node::Kind::state && node.state.op != Op::bytes)
      refuse("a quantifier after an assertion");
  }

  /// Reads a quantifier into `node`. False if there is none.
  bool quantifier(Node& node) {
    if (take("*"))
      node.least = 0, node.most = unbounded;
    else if (take("+"))
      node.least = 1, node.most = unbounded;
    else if (take("?"))
      node.least = 0, node.most = 1;
    else
      return bounds(node);
    return true;
  }

  /// A brace that begins no quantifier is a character.
  bool bounds(Node& node) {
    const auto before = rest_;
    int least = 0, most = 0;
    bool well = take("{") && number(least);
    if (well && !take(","))
      most = least;
    else if (well && !number(most))
      most = unbounded;
    well = well && take("}");
    if (!well) {
      rest_ = before;
      return false;
    }
    if (std::max(least, most) > most_repeats)
      refuse("a count above " + std::to_string(most_repeats));
    if (most != unbounded && most < least) refuse("bounds in the wrong order");
    node.least = least;
    node.most = most;
    return true;
  }

  bool number(int& value) {
    if (rest_.empty() || !is(::isdigit, rest_[0])) return false;
    for (value = 0; !rest_.empty() && is(::isdigit, rest_[0]); rest_.remove_prefix(1))
      value = std::min(value * 10 + (rest_[0] - '0'), most_repeats + 1);
    return true;
  }

  Node atom() {
    if (take("(")) {
      if (!take("?:") && rest_.starts_with('?')) refuse("a (? without a : after it");
      auto group = alternatives();
      if (!take(")")) refuse("a ( without a )");
      return Node{.kind = Node::Kind::sequence, .parts = {std::move(group)}};
    }
    if (take("^")) return assertion(Op::line_begin);
    if (take("$")) return assertion(Op::line_end);
    if (take("\\b")) return assertion(Op::word_edge);
    if (take("\\B")) return assertion(Op::no_word_edge);
    if (take(".")) return one_of((~Bytes{}).reset('\n').reset('\r'));
    if (take("[")) return one_of(bracket());
    if (take("\\u")) return character(code_unit());
    if (take("\\")) return one_of(escape());
    Node nothing{.kind = Node::Kind::sequence};
    if (quantifier(nothing)) refuse("a quantifier with nothing to repeat");
    return one_of(only(next()));
  }

  /// The UTF-8 bytes of a character.
  Node character(int code) {
    const auto byte = [this](int value) { return one_of(only(static_cast<char>(value))); };
    if (code < 0x80) return byte(code);
    Node bytes{.kind = Node::Kind::sequence};
    if (code < 0x800) {
      bytes.parts = {byte(0xc0 | code >> 6)};
    } else {
      bytes.parts = {byte(0xe0 | code >> 12), byte(0x80 | (code >> 6 & 0x3f))};
    }
    bytes.parts.push_back(byte(0x80 | (code & 0x3f)));
    return bytes;
  }

  Bytes bracket() {
    const bool negated = take("^");
    Bytes bytes;
    while (!take("]")) {
      if (take("[:")) {
        bytes |= named();
        continue;
      }
      const auto low = member();
      if (rest_.starts_with('-') && !rest_.starts_with("-]")) {
        rest_.remove_prefix(1);
        const auto high = member();
        if (low.count() != 1 || high.count() != 1)
          refuse("a range that begins or ends with a class");
        std::size_t i = 0, last = 0;
        while (!low[i]) ++i;
        while (!high[last]) ++last;
        if (last < i) refuse("a range in the wrong order");
        for (; i <= last; ++i) bytes.set(i);
      } else {
        bytes |= low;
      }
    }
    return negated ? (~bytes).reset('\n') : bytes;
  }

  Bytes member() {
    if (take("\\b")) return only('\b');
    if (take("\\u")) {
      const auto code = code_unit();
      if (code >= 0x80) refuse("\\u beyond ASCII in brackets");
      return only(static_cast<char>(code));
    }
    return take("\\") ? escape() : only(next());
  }

  /// A named class in brackets, like [:alpha:].
  Bytes named() {
    constexpr std::pair<std::string_view, int (*)(int)> classes[] = {
        {"alnum", ::isalnum}, {"alpha", ::isalpha}, {"blank", ::isblank}, {"cntrl", ::iscntrl},
        {"digit", ::isdigit}, {"graph", ::isgraph}, {"lower", ::islower}, {"print", ::isprint},
        {"punct", ::ispunct}, {"space", ::isspace}, {"upper", ::isupper}, {"xdigit", ::isxdigit},
        {"d", ::isdigit},     {"s", ::isspace}};
    for (const auto& [name, belongs] : classes)
      if (take(std::string{name} + ":]")) return all(belongs);
    if (take("w:]")) return word();
    refuse("an unknown class of characters");
  }

  Bytes escape() {
    const char c = next();
    switch (c) {
      case 'd':
        return all(::isdigit);
      case 'D':
        return ~all(::isdigit).set('\n');
      case 'w':
        return word();
      case 'W':
        return ~word().set('\n');
      case 's':
        return all(::isspace);
      case 'S':
        return ~all(::isspace);
      case 't':
        return only('\t');
      case 'n':
        return only('\n');
      case 'r':
        return only('\r');
      case 'f':
        return only('\f');
      case 'v':
        return only('\v');
      case '0':
        if (!rest_.empty() && is(::isdigit, rest_[0])) refuse("\\0 before a digit");
        return only('\0');
      case 'c':
        if (rest_.empty() || !is(::isalpha, rest_[0])) refuse("\\c without a letter");
        return only(static_cast<char>(next() % 32));
      case 'x': {
        const int byte = hexadecimal(2);
        if (byte < 0) refuse("\\x without two hexadecimal digits");
        return only(static_cast<char>(byte));
      }
      default:
        if (is(::isalnum, c)) refuse(std::string{"the unsupported escape \\"} + c);
        return only(c);
    }
  }

  /// The number after a \u.
  int code_unit() {
    const int code = hexadecimal(4);
    if (code < 0) refuse("\\u without four hexadecimal digits");
    if (code >= 0xd800 && code < 0xe000) refuse("\\u with half a character");
    return code;
  }

  /// Reads a number with exactly `digits` digits; -1 if there are fewer.
  int hexadecimal(std::size_t digits) {
    const std::string text{rest_.substr(0, digits)};
    for (const char c : text)
      if (!is(::isxdigit, c)) return -1;
    if (text.size() < digits) return -1;
    rest_.remove_prefix(digits);
    return std::stoi(text, nullptr, 16);
  }

  static bool is(int (*belongs)(int), char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 128 && belongs(byte) != 0;  // no locale changes the rest
  }
  static Bytes all(int (*belongs)(int)) {
    Bytes bytes;
    for (int c = 0; c < 128; ++c) bytes[static_cast<std::size_t>(c)] = belongs(c) != 0;
    return bytes;
  }
  static Bytes word() { return all(::isalnum).set('_'); }
  static Bytes only(char c) { return Bytes{}.set(static_cast<unsigned char>(c)); }

  Node assertion(Op op) {
    pattern_.asks_begin_ |= op == Op::line_begin;
    if (op == Op::word_edge || op == Op::no_word_edge) {
      pattern_.asks_edges_ = true;
      split_classes(word());
    }
    return {.kind = Node::Kind::state, .state = {.op = op}};
  }
  Node one_of(const Bytes& bytes) {
    split_classes(bytes);
    return {.kind = Node::Kind::state, .state = {.op = Op::bytes, .bytes = bytes}};
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

  std::uint32_t add(State state) {
    auto& states = pattern_.states_;
    if (states.size() == most_states)
      refuse("more than " + std::to_string(most_states) + " states");
    states.push_back(state);
    return static_cast<std::uint32_t>(states.size() - 1);
  }

  /// Adds the states of `node` with its repetitions, followed by `next`.
  std::uint32_t build(const Node& node, std::uint32_t next) {
    if (node.most == unbounded) {
      const auto loop = add({.op = Op::fork, .other = next});
      const auto begin = once(node, loop);
      pattern_.states_[loop].next = begin;
      next = loop;
    }
    for (int i = node.least; i < node.most; ++i)
      next = add({.op = Op::fork, .next = once(node, next), .other = next});
    for (int i = 0; i < node.least; ++i) {
      const auto begin = once(node, next);
      if (begin == next) break;  // an empty node stays empty
      next = begin;
    }
    return next;
  }

  std::uint32_t once(const Node& node, std::uint32_t next) {
    if (node.kind == Node::Kind::state) {
      auto state = node.state;
      state.next = next;
      return add(state);
    }
    if (node.kind == Node::Kind::sequence) {
      for (auto part = node.parts.rbegin(); part != node.parts.rend(); ++part)
        next = build(*part, next);
      return next;
    }
    auto begin = build(node.parts.back(), next);
    for (auto part = node.parts.rbegin() + 1; part != node.parts.rend(); ++part)
      begin = add({.op = Op::fork, .next = build(*part, next), .other = begin});
    return begin;
  }

  bool take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  char next() {
    if (rest_.empty()) refuse("an unfinished escape or bracket");
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  [[noreturn]] void refuse(const std::string& problem) const {
    throw std::invalid_argument{"the regular expression '" + expression_ + "' has " + problem};
  }

  const std::string& expression_;
  std::string_view rest_;
  Pattern& pattern_;
  Bytes alone_ = {};  // bytes that are a class of their own
  int depth_ = 0;
};

MIRAKURU_DECL Pattern::Pattern(const std::string& expression) { Parser{expression, *this}.run(); }

MIRAKURU_DECL bool Pattern::found_in(std::string_view text) const {
  return PatternSearch{*this}.feed(text);
}

MIRAKURU_DECL bool PatternSearch::Set::operator<(const Set& other) const {
  const auto flags = [](const Set& set) {
    return (set.line_begin ? 1 : 0) | (set.after_word ? 2 : 0) | (set.ended ? 4 : 0);
  };
  if (states.size() != other.states.size()) return states.size() < other.states.size();
  const int order =
      std::memcmp(states.data(), other.states.data(), states.size() * sizeof states[0]);
  return order != 0 ? order < 0 : flags(*this) < flags(other);
}

MIRAKURU_DECL PatternSearch::PatternSearch(const Pattern& pattern)
    : pattern_{&pattern}, seen_(pattern.states_.size()), next_(pattern.states_.size() / 64 + 1) {
  forget();
  current_ = start_;
}

MIRAKURU_DECL void PatternSearch::forget() {
  entries_.clear();
  kept_states_ = 0;
  rows_.assign(is_found / row + 1, {});
  table_.assign(row, unknown);
  table_.resize(is_found + row, is_found);
  start_ = intern({.states = {pattern_->start_}, .line_begin = pattern_->asks_begin_});
}

MIRAKURU_DECL PatternSearch::Entry PatternSearch::intern(Set set) {
  const auto [place, is_new] = entries_.try_emplace(std::move(set));
  if (is_new) {
    place->second = static_cast<Entry>(table_.size());
    kept_states_ += place->first.states.size();
    rows_.push_back({.set = &place->first});
    table_.resize(table_.size() + row, unknown);
  }
  return place->second;
}

MIRAKURU_DECL bool PatternSearch::advance(const Set& set, int symbol, Set& next) {
  using Op = Pattern::Op;
  const auto is_word = [](int c) { return c < 128 && (std::isalnum(c) != 0 || c == '_'); };
  const bool edge = set.after_word != is_word(symbol);
  const auto succeed = [this](std::uint32_t i) { next_[i / 64] |= std::uint64_t{1} << i % 64; };
  const auto* const states = pattern_->states_.data();
  auto* const seen = seen_.data();
  ++advances_;
  pending_ = set.states;
  while (!pending_.empty()) {
    const auto i = pending_.back();
    pending_.pop_back();
    if (seen[i] == advances_) continue;
    seen[i] = advances_;
    ++effort_;
    const auto& state = states[i];
    bool goes_on = false;
    switch (state.op) {
      case Op::match:
        std::fill(next_.begin(), next_.end(), 0);
        return true;
      case Op::bytes:
        if (symbol != end_of_line && state.bytes[static_cast<std::size_t>(symbol)])
          succeed(state.next);
        break;
      case Op::fork:
        pending_.push_back(state.other);
        goes_on = true;
        break;
      case Op::line_begin:
        goes_on = set.line_begin;
        break;
      case Op::line_end:
        goes_on = symbol == end_of_line;
        break;
      case Op::word_edge:
        goes_on = edge;
        break;
      case Op::no_word_edge:
        goes_on = !edge;
        break;
    }
    if (goes_on) pending_.push_back(state.next);
  }
  if (symbol == end_of_line) return false;
  succeed(pattern_->start_);  // a match may begin anywhere
  for (std::size_t word = 0; word < next_.size(); ++word)
    for (auto bits = std::exchange(next_[word], 0); bits != 0; bits &= bits - 1)
      next.states.push_back(
          static_cast<std::uint32_t>(word * 64 + static_cast<std::size_t>(std::countr_zero(bits))));
  next.after_word = pattern_->asks_edges_ && is_word(symbol);
  return false;
}

MIRAKURU_DECL bool PatternSearch::ends(Entry entry) {
  if (entry == is_found) return true;
  auto& known = rows_[entry / row];
  if (known.ends == Row::not_known) {
    Set nothing;
    known.ends = known.set->ended || advance(*known.set, end_of_line, nothing) ? Row::yes : Row::no;
  }
  return known.ends == Row::yes;
}

MIRAKURU_DECL bool PatternSearch::found() { return ends(current_); }

MIRAKURU_DECL void PatternSearch::fill_in(Entry from, const std::string& bytes, Entry to) {
  for (const char c : bytes) table_[from + static_cast<unsigned char>(c)] = to;
}

MIRAKURU_DECL PatternSearch::Entry PatternSearch::step(Entry from, unsigned char byte) {
  if (byte == '\n') return table_[from + byte] = ends(from) ? is_found : start_;
  std::size_t of = 0;
  while (pattern_->classes_[of].find(static_cast<char>(byte)) == std::string::npos) ++of;
  const auto& bytes = pattern_->classes_[of];
  Set next;
  if (advance(*rows_[from / row].set, byte, next)) {
    fill_in(from, bytes, is_found);
    return is_found;
  }
  next.ended = byte == '\r' && ends(from);
  if (rows_.size() == most_sets || kept_states_ > most_states) {
    forget();
    return intern(std::move(next));
  }
  const Entry to = intern(std::move(next));
  fill_in(from, bytes, to);
  if (to == from) find_leaving(from);
  return to;
}

/// Finds the bytes that leave a set in which the search stays for a while.
MIRAKURU_DECL void PatternSearch::find_leaving(Entry entry) {
  constexpr std::size_t most_effort = 1 << 16;
  auto& known = rows_[entry / row];
  if (known.left != Row::no_idea) return;
  known.left = Row::by_many;
  if (pattern_->states_.size() * pattern_->classes_.size() > most_effort) return;
  std::string leaving;
  for (const auto& bytes : pattern_->classes_) {
    const auto byte = static_cast<unsigned char>(bytes[0]);
    Set next;
    const bool found = byte == '\n' ? ends(entry) : advance(*known.set, byte, next);
    next.ended = byte == '\r' && ends(entry);
    if (!found && (byte == '\n' ? entry == start_ : next == *known.set))
      fill_in(entry, bytes, entry);
    else
      leaving += bytes;
    if (leaving.size() > Row::few) return;
  }
  known.left = Row::by_few;
  known.count = leaving.copy(known.leaving, Row::few);
}

MIRAKURU_DECL const unsigned char* PatternSearch::run(const unsigned char* at,
                                                      const unsigned char* end) {
  const Entry* const table = table_.data();
  const Row* const rows = rows_.data();
  Entry current = current_;
  std::ptrdiff_t stride = 8;
  while (at != end) {
    const auto* const stop = end - at > stride ? at + stride : end;
    for (Entry next = 0; at != stop && (next = table[current + *at]) > is_found; ++at)
      current = next;
    if (at != stop) break;
    const Row& known = rows[current / row];
    stride = 64;
    if (known.left != Row::by_few) continue;
    auto window = static_cast<std::size_t>(end - at < 1024 ? end - at : 1024);
    for (std::size_t i = 0; i < known.count; ++i)
      if (const void* const hit = std::memchr(at, known.leaving[i], window))
        window = static_cast<std::size_t>(static_cast<const unsigned char*>(hit) - at);
    at += window;
    if (window >= 12) stride = 8;  // a shorter skip costs more than it saves
  }
  current_ = current;
  return at;
}

MIRAKURU_DECL std::size_t PatternSearch::take(std::string_view bytes, Clock::time_point until) {
  constexpr std::size_t much = 2048;  // effort between two looks at the clock
  const auto* const begin = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto* const end = begin + bytes.size();
  const auto* at = begin;
  while (at != end && current_ != is_found) {
    at = run(at, end);
    if (at == end) break;
    Entry next = table_[current_ + *at];
    if (next == unknown) next = step(current_, *at);
    current_ = next;
    ++at;
    if (effort_ > much) {
      effort_ = 0;
      if (Clock::now() >= until) break;
    }
  }
  return static_cast<std::size_t>(at - begin);
}

}  // namespace mirakuru::detail
