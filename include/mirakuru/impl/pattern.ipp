// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cctype>
#include <stdexcept>
#include <utility>

#include <mirakuru/detail/pattern.hpp>

namespace mirakuru::detail {

/// Reads an expression by recursive descent and builds the automaton from its end to its start:
/// each function is given where to go on, and returns where to begin.
class Pattern::Parser {
 public:
  Parser(const std::string& expression, std::vector<State>& states)
      : expression_{expression}, rest_{expression}, states_{states} {}

  std::uint32_t run() {
    const auto tree = alternatives();
    if (!rest_.empty()) refuse("a ) without its (");
    return build(tree, add({.op = Op::match}));
  }

 private:
  /// A node of the expression. `least` and `most` are how often it is repeated.
  struct Node {
    enum class Kind { state, sequence, choice } kind;
    State state = {.op = Op::match};
    std::vector<Node> parts = {};
    int least = 1, most = 1;
  };
  static constexpr int unbounded = -1, most_repeats = 1000, most_depth = 250;
  static constexpr std::size_t most_states = 20'000;

  Node alternatives() {
    if (++depth_ > most_depth) refuse("too many groups in each other");
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
    const auto before = rest_;
    if (take("*"))
      node.least = 0, node.most = unbounded;
    else if (take("+"))
      node.most = unbounded;
    else if (take("?"))
      node.least = 0;
    else if (take("{") && !bounds(node))
      return void(rest_ = before);  // a brace of its own
    if (rest_ == before) return;
    take("?");  // lazy or greedy: what is found is found
    if (!rest_.empty() && std::string_view{"*+?"}.find(rest_[0]) != std::string_view::npos)
      refuse("a quantifier of a quantifier");
    if (node.kind == Node::Kind::state && node.state.op != Op::bytes)
      refuse("a quantifier of an assertion");
  }

  bool bounds(Node& node) {
    int least = 0, most = 0;
    if (!number(least)) return false;
    if (!take(","))
      most = least;
    else if (!number(most))
      most = unbounded;
    if (!take("}")) return false;
    if (most != unbounded && most < least) refuse("bounds in the wrong order");
    node.least = least;
    node.most = most;
    return true;
  }

  bool number(int& value) {
    if (rest_.empty() || !is(::isdigit, rest_[0])) return false;
    for (value = 0; !rest_.empty() && is(::isdigit, rest_[0]); rest_.remove_prefix(1))
      if ((value = value * 10 + (rest_[0] - '0')) > most_repeats) refuse("too high a bound");
    return true;
  }

  Node atom() {
    if (take("(")) {
      if (!take("?:") && rest_.starts_with('?')) refuse("(? with anything but : behind it");
      auto group = alternatives();
      if (!take(")")) refuse("a ( without its )");
      return Node{.kind = Node::Kind::sequence, .parts = {std::move(group)}};
    }
    if (take("^")) return assertion(Op::line_begin);
    if (take("$")) return assertion(Op::line_end);
    if (take("\\b")) return assertion(Op::word_edge);
    if (take("\\B")) return assertion(Op::no_word_edge);
    if (take(".")) return one_of(~Bytes{}.set('\n'));
    if (take("[")) return one_of(bracket());
    if (take("\\")) return one_of(escape());
    if (std::string_view{"*+?"}.find(rest_[0]) != std::string_view::npos)
      refuse("a quantifier of nothing");
    return one_of(only(next()));
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
        if (low.count() != 1 || high.count() != 1) refuse("a range between classes");
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
    return take("\\") ? escape() : only(next());
  }

  /// [:alpha:] and its like, in brackets.
  Bytes named() {
    constexpr std::pair<std::string_view, int (*)(int)> classes[] = {
        {"alnum", ::isalnum}, {"alpha", ::isalpha}, {"blank", ::isblank}, {"cntrl", ::iscntrl},
        {"digit", ::isdigit}, {"graph", ::isgraph}, {"lower", ::islower}, {"print", ::isprint},
        {"punct", ::ispunct}, {"space", ::isspace}, {"upper", ::isupper}, {"xdigit", ::isxdigit}};
    for (const auto& [name, belongs] : classes)
      if (take(std::string{name} + ":]")) return all(belongs);
    refuse("a class of characters that is not known");
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
        return only('\0');
      case 'x': {
        if (rest_.size() < 2 || !is(::isxdigit, rest_[0]) || !is(::isxdigit, rest_[1]))
          refuse("\\x without two hexadecimal digits");
        const auto byte = std::stoi(std::string{rest_.substr(0, 2)}, nullptr, 16);
        rest_.remove_prefix(2);
        return only(static_cast<char>(byte));
      }
      default:
        if (is(::isalnum, c)) refuse(std::string{'\\', c});
        return only(c);
    }
  }

  static bool is(int (*belongs)(int), char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 128 && belongs(byte) != 0;  // bytes are bytes, whatever the locale
  }
  static Bytes all(int (*belongs)(int)) {
    Bytes bytes;
    for (int c = 0; c < 128; ++c) bytes[static_cast<std::size_t>(c)] = belongs(c) != 0;
    return bytes;
  }
  static Bytes word() { return all(::isalnum).set('_'); }
  static Bytes only(char c) { return Bytes{}.set(static_cast<unsigned char>(c)); }

  static Node assertion(Op op) { return {.kind = Node::Kind::state, .state = {.op = op}}; }
  static Node one_of(const Bytes& bytes) {
    return {.kind = Node::Kind::state, .state = {.op = Op::bytes, .bytes = bytes}};
  }

  std::uint32_t add(State state) {
    if (states_.size() == most_states) refuse("too much in it");
    states_.push_back(state);
    return static_cast<std::uint32_t>(states_.size() - 1);
  }

  /// The states of `node` with its repetitions, `next` behind them.
  std::uint32_t build(const Node& node, std::uint32_t next) {
    if (node.most == unbounded) {
      const auto loop = add({.op = Op::fork, .other = next});
      states_[loop].next = once(node, loop);
      next = loop;
    }
    for (int i = node.least; i < node.most; ++i)
      next = add({.op = Op::fork, .next = once(node, next), .other = next});
    for (int i = 0; i < node.least; ++i) {
      const auto begin = once(node, next);
      if (begin == next) break;  // nothing in it, however often
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
    if (rest_.empty()) refuse("an escape or a bracket that is not finished");
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw std::invalid_argument{"the regular expression '" + expression_ + "' has " + what};
  }

  const std::string& expression_;
  std::string_view rest_;
  std::vector<State>& states_;
  int depth_ = 0;
};

MIRAKURU_DECL Pattern::Pattern(const std::string& expression)
    : start_{Parser{expression, states_}.run()} {}

MIRAKURU_DECL bool Pattern::found_in(std::string_view text) const {
  return PatternSearch{*this}.feed(text);
}

MIRAKURU_DECL PatternSearch::PatternSearch(const Pattern& pattern)
    : pattern_{&pattern}, reached_(pattern.states_.size()) {
  start_ = current_ = intern({.states = {pattern.start_}, .line_begin = true});
}

MIRAKURU_DECL PatternSearch::Entry PatternSearch::intern(Set set) {
  if (sets_.empty()) {  // the rows `unknown` and `found` have no set
    sets_.resize(found / row + 1);
    table_.resize(found + row);
  }
  const auto [place, is_new] = entries_.try_emplace(std::move(set));
  if (is_new) {
    place->second = static_cast<Entry>(table_.size());
    sets_.push_back(&place->first);
    table_.resize(table_.size() + row, unknown);
  }
  return place->second;
}

MIRAKURU_DECL bool PatternSearch::reach(const Set& set, int symbol) {
  using Op = Pattern::Op;
  const auto is_word = [](int c) { return c < 128 && (std::isalnum(c) != 0 || c == '_'); };
  const bool edge = set.after_word != is_word(symbol);
  std::fill(reached_.begin(), reached_.end(), 0);
  pending_ = set.states;
  while (!pending_.empty()) {
    const auto i = pending_.back();
    pending_.pop_back();
    if (std::exchange(reached_[i], 1) != 0) continue;
    const auto& state = pattern_->states_[i];
    switch (state.op) {
      case Op::match:
        return true;
      case Op::bytes:
        break;
      case Op::fork:
        pending_.push_back(state.other);
        [[fallthrough]];
      default:
        if (state.op == Op::fork || (state.op == Op::line_begin && set.line_begin) ||
            (state.op == Op::line_end && symbol == end_of_line) ||
            (state.op == Op::word_edge && edge) || (state.op == Op::no_word_edge && !edge))
          pending_.push_back(state.next);
    }
  }
  return false;
}

MIRAKURU_DECL PatternSearch::Entry PatternSearch::step(Entry from, unsigned char byte) {
  const Set& set = *sets_[from / row];
  if (reach(set, byte == '\n' ? end_of_line : byte)) return found;
  if (byte == '\n') return start_;
  Set next{.states = {pattern_->start_},  // a match may begin anywhere
           .after_word = byte < 128 && (std::isalnum(byte) != 0 || byte == '_')};
  for (std::size_t i = 0; i < reached_.size(); ++i)
    if (reached_[i] != 0 && pattern_->states_[i].op == Pattern::Op::bytes &&
        pattern_->states_[i].bytes[byte])
      next.states.push_back(pattern_->states_[i].next);
  std::sort(next.states.begin(), next.states.end());
  next.states.erase(std::unique(next.states.begin(), next.states.end()), next.states.end());
  if (sets_.size() == most_sets) {
    entries_.clear();
    sets_.clear();
    table_.clear();
    start_ = intern({.states = {pattern_->start_}, .line_begin = true});
    return intern(std::move(next));
  }
  const Entry entry = intern(std::move(next));
  return table_[from + byte] = entry;
}

MIRAKURU_DECL bool PatternSearch::feed(std::string_view bytes) {
  // One table look-up for each byte, for tests are built without optimisation as a rule.
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto* const end = at + bytes.size();
  Entry current = current_;
  while (at != end && current != found) {
    const Entry* const table = table_.data();
    for (Entry next; at != end && (next = table[current + *at]) > found; ++at) current = next;
    if (at != end) current = step(current, *at++);
  }
  current_ = current;
  return current == found || reach(*sets_[current / row], end_of_line);
}

}  // namespace mirakuru::detail
