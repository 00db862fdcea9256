// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mirakuru/text/cut.hpp>

namespace mirakuru::detail {

/// The first and the last lines of a text that comes in pieces, for a message. Equal lines in a row
/// are folded into one. It stores no more than these lines.
class Excerpt {
 public:
  explicit Excerpt(std::size_t first_lines = 5, std::size_t last_lines = 15) noexcept
      : first_lines_{first_lines}, last_lines_{last_lines} {}

  /// The rest of a longer line is left out, in bytes.
  static constexpr std::size_t longest_line = 500;

  /// Takes the next piece of the text.
  [[gnu::cold]] void feed(std::string_view piece) {
    if (is_behind_gap() && !open_) piece = without_half_begin(piece);
    while (!piece.empty()) {
      const auto end = piece.find('\n');
      const auto part = piece.substr(0, end);
      if (line_.size() < longest_line) line_ += part.substr(0, longest_line - line_.size());
      length_ += part.size();
      open_ = true;
      if (end == std::string_view::npos) return;
      end_line();
      piece.remove_prefix(end + 1);
    }
  }
  /// Leaves out a part of the text, with so many line ends in it; in `bytes` if they are unknown.
  [[gnu::cold]] void skip(std::size_t bytes, std::optional<std::size_t> line_ends) {
    std::size_t lines = line_ends.value_or(0);
    if (open_ && lines > 0) --lines;  // that of the line at hand
    if (open_) {
      line_ = without_half_end(line_);
      end_line();
    }
    for (auto& line : tail_) lines += line.times;
    tail_.clear();
    lines_ += lines;
    if (!line_ends) bytes_ += bytes;
    skipped_ = true;
  }
  /// The excerpt, without empty lines at its end.
  [[nodiscard, gnu::cold]] std::string text() {
    if (open_) end_line();
    while (!tail_.empty() && tail_.back().text.empty()) tail_.pop_back();
    while (tail_.empty() && !head_.empty() && head_.back().text.empty()) head_.pop_back();
    std::string text;
    for (const auto& line : head_) add(text, line);
    if (lines_ > 0 || bytes_ > 0)
      text += "[... " + (lines_ > 0 ? std::to_string(lines_) + " lines" : "") +
              (lines_ > 0 && bytes_ > 0 ? " and " : "") +
              (bytes_ > 0 ? std::to_string(bytes_) + " bytes" : "") + " left out ...]\n";
    for (const auto& line : tail_) add(text, line);
    if (!text.empty()) text.pop_back();
    return text;
  }

 private:
  struct Line {
    std::string text = {};
    std::size_t length = 0, times = 1;
  };

  [[gnu::cold]] static void add(std::string& text, const Line& line) {
    text += line.text + (line.length > line.text.size() ? " [...]\n" : "\n");
    if (line.times > 1)
      text += "[the same line " + std::to_string(line.times - 1) +
              (line.times == 2 ? " more time]\n" : " more times]\n");
  }

  [[nodiscard]] bool is_behind_gap() const { return tail_.empty() && skipped_; }

  [[gnu::cold]] void end_line() {
    open_ = false;
    if (length_ > line_.size()) line_ = without_half_end(line_);
    if (length_ == line_.size() && line_.ends_with('\r')) {  // a terminal's line end
      line_.pop_back();
      --length_;
    }
    Line line{std::exchange(line_, {}), std::exchange(length_, 0)};
    const bool behind_gap = is_behind_gap();
    Line* const last = !tail_.empty()                  ? &tail_.back()
                       : !head_.empty() && !behind_gap ? &head_.back()
                                                       : nullptr;
    if (last != nullptr && last->text == line.text && last->length == line.length) {
      ++last->times;
    } else if (head_.size() < first_lines_ && tail_.empty() && !behind_gap) {
      head_.push_back(std::move(line));
    } else {
      tail_.push_back(std::move(line));
      if (tail_.size() <= last_lines_) return;
      lines_ += tail_.front().times;
      tail_.erase(tail_.begin());
    }
  }

  std::size_t first_lines_, last_lines_;
  std::vector<Line> head_;
  std::vector<Line> tail_;
  std::size_t lines_ = 0, bytes_ = 0;  // left out
  std::string line_;                   // the line that has not ended yet
  std::size_t length_ = 0;
  bool open_ = false, skipped_ = false;
};

}  // namespace mirakuru::detail
