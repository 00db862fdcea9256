// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <bit>
#include <cstring>
#include <map>

#include <mirakuru/os/clock.hpp>
#include <mirakuru/text/pattern.hpp>

namespace mirakuru::detail {

/// Searches a text that comes in pieces, and reads each byte once.
///
/// It builds a table from the automaton's sets of states as they occur, and drops the table at half
/// a megabyte. If only a few bytes leave a set, `memchr` looks for them, because most tests are
/// built without optimisation: 64 MB of one line then take 10 ms in place of 200 ms.
class PatternSearch {
 public:
  /// The pattern must outlive the search.
  explicit PatternSearch(const Pattern& pattern)
      : pattern_{&pattern}, seen_(pattern.states_.size()), next_(pattern.states_.size() / 64 + 1) {
    forget();
    current_ = start_;
  }
  PatternSearch(PatternSearch&&) = default;  // not copied: the table points into the map's nodes

  /// Reads the next bytes of the text. Stops early at a match that no later byte can undo, and, if
  /// the search is slow, at `until`. Returns the number of bytes read, at least 1 of a non-empty
  /// piece unless the search has ended.
  std::size_t take(std::string_view bytes, Clock::time_point until = Clock::time_point::max()) {
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
  /// True if a line has matched. An unfinished last line counts as if it ended here, so the answer
  /// can become false again.
  [[nodiscard]] bool found() { return ends(current_); }
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
    bool operator<(const Set& other) const {
      const auto flags = [](const Set& set) {
        return (set.line_begin ? 1 : 0) | (set.after_word ? 2 : 0) | (set.ended ? 4 : 0);
      };
      if (states.size() != other.states.size()) return states.size() < other.states.size();
      const int order =
          std::memcmp(states.data(), other.states.data(), states.size() * sizeof states[0]);
      return order != 0 ? order < 0 : flags(*this) < flags(other);
    }
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

  void forget() {
    entries_.clear();
    kept_states_ = 0;
    rows_.assign(is_found / row + 1, {});
    table_.assign(row, unknown);
    table_.resize(is_found + row, is_found);
    start_ = intern({.states = {0}, .line_begin = pattern_->asks_begin_});
  }

  Entry intern(Set set) {
    const auto [place, is_new] = entries_.try_emplace(std::move(set));
    if (is_new) {
      place->second = static_cast<Entry>(table_.size());
      kept_states_ += place->first.states.size();
      rows_.push_back({.set = &place->first});
      table_.resize(table_.size() + row, unknown);
    }
    return place->second;
  }

  /// Follows `byte` from a row that does not know it, and fills in the result.
  Entry step(Entry from, unsigned char byte) {
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

  /// Computes the set that follows `set` on a byte or `end_of_line`. True if the pattern matches
  /// before that symbol.
  bool advance(const Set& set, int symbol, Set& next) {
    using Op = Pattern::Op;
    const auto is_word = [](int c) { return c < 128 && (std::isalnum(c) != 0 || c == '_'); };
    const bool edge = set.after_word != is_word(symbol);
    // One for each Op: the search goes on without a byte.
    const bool passes[] = {false, true, set.line_begin, symbol == end_of_line, edge, !edge, false};
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
      if (state.op == Op::match) {
        std::fill(next_.begin(), next_.end(), 0);
        return true;
      }
      if (state.op == Op::bytes && symbol != end_of_line &&
          state.bytes[static_cast<std::size_t>(symbol)])
        succeed(i + state.next);
      if (state.op == Op::fork) pending_.push_back(i + state.other);
      if (passes[static_cast<int>(state.op)]) pending_.push_back(i + state.next);
    }
    if (symbol == end_of_line) return false;
    succeed(0);  // a match may begin anywhere
    for (std::size_t word = 0; word < next_.size(); ++word)
      for (auto bits = std::exchange(next_[word], 0); bits != 0; bits &= bits - 1)
        next.states.push_back(static_cast<std::uint32_t>(
            word * 64 + static_cast<std::size_t>(std::countr_zero(bits))));
    next.after_word = pattern_->asks_edges_ && is_word(symbol);
    return false;
  }

  bool ends(Entry entry) {
    if (entry == is_found) return true;
    auto& known = rows_[entry / row];
    if (known.ends == Row::not_known) {
      Set nothing;
      known.ends =
          known.set->ended || advance(*known.set, end_of_line, nothing) ? Row::yes : Row::no;
    }
    return known.ends == Row::yes;
  }

  void fill_in(Entry from, const std::string& bytes, Entry to) {
    for (const char c : bytes) table_[from + static_cast<unsigned char>(c)] = to;
  }

  /// Finds the bytes that leave a set in which the search stays for a while.
  void find_leaving(Entry entry) {
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

  /// Follows the table until its first unknown place or a match.
  const unsigned char* run(const unsigned char* at, const unsigned char* end) {
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

inline bool Pattern::found_in(std::string_view text) const {
  return PatternSearch{*this}.feed(text);
}

}  // namespace mirakuru::detail
