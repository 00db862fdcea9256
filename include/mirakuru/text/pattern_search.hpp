// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <bit>
#include <cstring>
#include <map>
#include <utility>

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
      : pattern_{&pattern},
        seen_(pattern.states_.size() * (pattern.asks_place_ ? 2 : 1)),
        next_(seen_.size() / 64 + 1) {
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
    if (at != begin) line_has_byte_ = at[-1] != '\n';
    return static_cast<std::size_t>(at - begin);
  }
  /// True if a line has matched. An unfinished last line with a byte counts as if it ended here, so
  /// the answer can become false again.
  [[nodiscard]] bool found() { return found_for_good() || (line_has_byte_ && ends(current_)); }
  /// True if a line has matched and no later byte can undo it.
  [[nodiscard]] bool found_for_good() const noexcept { return current_ == is_found; }
  /// Calls `take`, then `found`.
  bool feed(std::string_view bytes) {
    take(bytes);
    return found();
  }
  /// Begins a new text.
  void restart() noexcept {
    current_ = start_;
    line_has_byte_ = false;
  }

 private:
  /// A row's place in the table: the number of its set times 256. The rows `unknown` and `is_found`
  /// lead to themselves.
  using Entry = std::uint32_t;
  static constexpr Entry row = 256, unknown = 0, is_found = row, most_sets = 512;
  static constexpr std::size_t most_states = 1 << 18;  // in all sets together
  static constexpr int end_of_line = 256;

  /// The automaton's states before the next byte, and facts about the last byte: it ended a line;
  /// it belongs to a word; it is a "\r" before which the line would have matched if it ended; its
  /// place in a character, if the states ask. A number beyond the last state is a state that has
  /// taken the first byte of a character, and goes on at the character's end.
  struct Set {
    std::vector<std::uint32_t> states = {};
    bool line_begin = false, after_word = false, ended = false;
    UTF8Place place = 0;
    bool operator<(const Set& other) const {
      const auto flags = [](const Set& set) {
        return (set.line_begin ? 1 : 0) | (set.after_word ? 2 : 0) | (set.ended ? 4 : 0) |
               set.place << 3;
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
    enum : std::uint8_t { not_known, no, yes } matches = not_known;  // if the line ends here
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
    next.ended = byte == '\r' && matches_here(from);
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
    const bool at_end = symbol == end_of_line;
    const auto byte = at_end ? std::size_t{'\n'} : static_cast<std::size_t>(symbol);
    const bool word = is_word(static_cast<char>(byte));
    const bool edge = set.after_word != word;
    const bool continues = continues_character(set.place, symbol);
    // One for each Op: the search goes on without a byte.
    const bool passes[] = {
        false, false, false, true, set.line_begin, at_end, edge, !edge && !continues, false};
    const auto succeed = [this](std::uint32_t i) { next_[i / 64] |= std::uint64_t{1} << i % 64; };
    const auto* const states = pattern_->states_.data();
    const auto size = static_cast<std::uint32_t>(pattern_->states_.size());
    auto* const seen = seen_.data();
    ++advances_;
    pending_ = set.states;
    while (!pending_.empty()) {
      const auto i = pending_.back();
      pending_.pop_back();
      if (seen[i] == advances_) continue;
      seen[i] = advances_;
      ++effort_;
      const auto& state = states[i < size ? i : i - size];
      if (i >= size) {
        if (continues)
          succeed(i);
        else if (state.op == Op::unit || set.place != 0)  // a whole character is not stray
          pending_.push_back(i - size + state.next);
        continue;
      }
      switch (state.op) {
        case Op::match:
          std::fill(next_.begin(), next_.end(), 0);
          return true;
        case Op::bytes:
          if (state.bytes[byte]) succeed(i + state.next);
          break;
        case Op::unit:
        case Op::stray:
          if (!continues && state.bytes[byte])
            succeed(place_after(0, symbol) == 0 ? i + state.next : i + size);
          break;
        case Op::fork:
          pending_.push_back(i + state.other);
          [[fallthrough]];
        default:
          if (passes[static_cast<int>(state.op)]) pending_.push_back(i + state.next);
      }
    }
    if (!at_end) succeed(0);  // a match may begin anywhere
    bool asks_place = false;
    for (std::size_t block = 0; block < next_.size(); ++block)
      for (auto bits = std::exchange(next_[block], 0); bits != 0; bits &= bits - 1) {
        const auto i = static_cast<std::uint32_t>(block * 64 +
                                                  static_cast<std::size_t>(std::countr_zero(bits)));
        next.states.push_back(i);
        asks_place = asks_place || i >= size || states[i].asks_place;
      }
    next.after_word = pattern_->asks_edges_ && word;
    if (asks_place) next.place = place_after(set.place, symbol);
    return false;
  }

  /// True if the line matches when it ends here. Its end counts as one newline.
  bool matches_here(Entry entry) {
    if (entry == is_found) return true;
    auto& known = rows_[entry / row];
    if (known.matches == Row::not_known) {
      Set after, nothing;
      const bool matches = advance(*known.set, end_of_line, after) ||
                           (!after.states.empty() && advance(after, end_of_line, nothing));
      known.matches = matches ? Row::yes : Row::no;
    }
    return known.matches == Row::yes;
  }
  /// As `matches_here`; also before a "\r", which may belong to the line's end.
  bool ends(Entry entry) { return matches_here(entry) || rows_[entry / row].set->ended; }

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
      next.ended = byte == '\r' && matches_here(entry);
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
  bool line_has_byte_ = false;
};

inline bool Pattern::found_in(std::string_view text) const {
  return PatternSearch{*this}.feed(text);
}

}  // namespace mirakuru::detail
