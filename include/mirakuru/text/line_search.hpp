// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/os/clock.hpp>
#include <mirakuru/text/line_matcher.hpp>
#include <mirakuru/text/pattern_search.hpp>

namespace mirakuru {

/// Searches a text for a matching line. The text comes in pieces, cut anywhere. The search reads
/// each byte once, and stores at most an unfinished line of a callable.
class LineSearch {
 public:
  /// The longest line in bytes that a callable gets. A longer line comes in pieces, and each piece
  /// begins with the second half of the one before.
  static constexpr std::size_t longest_line = 256 * 1024;

  /// The matcher must outlive the search. With `counts` the search goes on after a line that
  /// matches, and is never found for good.
  explicit LineSearch(const LineMatcher& matcher, bool counts = false)
      : matcher_{&matcher}, counts_{counts} {
    if (matcher.pattern_ && !counts) pattern_.emplace(*matcher.pattern_);
  }

  /// Reads the next piece of the text, and returns the number of bytes read. A slow search stops at
  /// `until`, but reads at least about one line.
  std::size_t take(std::string_view piece, detail::Clock::time_point until = never) {
    if (pattern_) return pattern_->take(piece, until);
    if (matcher_->callable_ || counts_) return take_lines(piece, until);
    take_text(piece);
    return piece.size();
  }
  /// True if a line has matched. An unfinished last line with a byte counts as if it ended here, so
  /// the answer can become false again.
  [[nodiscard]] bool found() {
    if (pattern_) return pattern_->found();
    if (std::exchange(grown_, false)) found_so_far_ = !kept_.empty() && call(kept_);
    return found_ || found_so_far_;
  }
  /// True if a line has matched and no later byte can undo it.
  [[nodiscard]] bool found_for_good() const noexcept {
    return pattern_ ? pattern_->found_for_good() : found_;
  }
  /// The number of lines that match, the unfinished one too; with `counts` alone.
  [[nodiscard]] std::size_t count() const noexcept { return count_ + (found_so_far_ ? 1 : 0); }
  /// Calls `take`, then `found`.
  bool feed(std::string_view piece) {
    take(piece);
    return found();
  }
  /// Begins a new text.
  void restart() {
    if (pattern_) pattern_->restart();
    kept_.clear();
    found_ = found_so_far_ = grown_ = false;
    count_ = 0;
  }

 private:
  static constexpr auto never = detail::Clock::time_point::max();

  void take_text(std::string_view piece) {
    const auto& text = matcher_->expression_;
    // A match may cross the border of two pieces by up to this many bytes.
    const auto reach = text.size() - 1;
    kept_ += piece.substr(0, reach);
    found_ = found_ || piece.find(text) != std::string_view::npos ||
             kept_.find(text) != std::string::npos;
    if (piece.size() > reach)
      kept_ = piece.substr(piece.size() - reach);
    else if (kept_.size() > reach)
      kept_.erase(0, kept_.size() - reach);
  }

  std::size_t take_lines(std::string_view piece, detail::Clock::time_point until) {
    const auto size = piece.size();
    grown_ = true;
    found_so_far_ = false;
    while (!piece.empty() && !found_) {
      const auto end = piece.find('\n');
      const auto part = piece.substr(0, std::min(end, longest_line / 2));
      const bool whole = part.size() == end;
      piece.remove_prefix(part.size() + (whole ? 1 : 0));
      if (whole && kept_.empty()) {
        judge(part);
      } else {
        kept_ += part;
        if (!whole && kept_.size() <= longest_line / 2) continue;
        judge(kept_);
        kept_.erase(0,
                    whole ? kept_.size() : kept_.size() - std::min(kept_.size(), longest_line / 2));
      }
      if (until != never && detail::Clock::now() >= until) break;
    }
    return size - piece.size();
  }

  void judge(std::string_view line) {
    const bool matches = call(line);
    if (counts_)
      count_ += matches ? 1 : 0;
    else
      found_ = matches;
  }
  /// Asks the matcher about a line. A carriage return at its end belongs to the line's end.
  bool call(std::string_view line) const {
    if (line.ends_with('\r')) line.remove_suffix(1);
    return matcher_->callable_ ? matcher_->call_(matcher_->callable_.get(), line)
                               : LineSearch{*matcher_}.feed(line);
  }

  const LineMatcher* matcher_;
  bool counts_;
  std::optional<detail::PatternSearch> pattern_;
  std::string kept_;  // the end of the text so far, in which a match may begin
  bool found_ = false, found_so_far_ = false;
  std::size_t count_ = 0;
  bool grown_ = false;  // the last line has grown since the callable got it
};

}  // namespace mirakuru
