// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <mirakuru/os/clock.hpp>
#include <mirakuru/output/output_file.hpp>
#include <mirakuru/text/line_matcher.hpp>
#include <mirakuru/text/line_search.hpp>
#include <mirakuru/text/terminal_text.hpp>

namespace mirakuru {

/// Searches a run's part of a file for a line, block by block, while the file grows.
///
/// Colours are left out, and a lone carriage return ends a line. A last line without an end counts
/// as far as it has come. A file that has been cut is searched again from the run's begin, or from
/// the file's if even that is gone. A cut is seen by the bytes before the place of the search, as
/// the file may have grown since.
class OutputSearch {
 public:
  /// Both must outlive the search. With `counts` it goes on after a line that matches. Throws
  /// `std::system_error` when the file cannot be read.
  OutputSearch(const OutputFile& file, const LineMatcher& matcher, bool counts = false)
      : file_{&file}, search_{matcher, counts}, earlier_{end_of_earlier()}, last_{earlier_} {}

  /// Searches the next block, until `until` but one line at least. Returns true if a line matches.
  /// Throws `std::system_error` when the file cannot be read. Rests on `pread`.
  bool look(TimePoint until = TimePoint::max()) {
    bool full = false;
    if (plain_.empty()) {
      const auto known = last_.size();  // bytes that are read again
      std::span block{block_.get(), block_size};
      if (end_ - offset_ < static_cast<long long>(block.size() - known))
        block = block.first(known + static_cast<std::size_t>(end_ - offset_));
      const auto read = file_->read(offset_ - static_cast<long long>(known), block);
      const std::string_view text{block.data(), read};
      if (!text.starts_with(last_)) return begin_again();
      const auto fresh = text.substr(known);
      if (fresh.empty()) return look_at_end();
      full = read == block.size();
      if (!terminal_.wants(fresh)) {
        const auto taken = search_.take(fresh, until);
        advance(text, known + taken);
        return answer(taken < fresh.size() || full);
      }
      terminal_.feed(fresh, plain_);
      advance(text, read);
    }
    plain_.erase(0, search_.take(plain_, until));
    return answer(!plain_.empty() || full);
  }
  /// The number of lines so far that match, if it counts them.
  [[nodiscard]] std::size_t count() const noexcept { return search_.count(); }
  /// True if the last look has left something that can be read at once.
  [[nodiscard]] bool more() const noexcept { return more_; }
  /// Freezes the input: later looks see only what is in the file now. Throws `std::system_error`.
  void freeze() { end_ = std::max(offset_, file_->size()); }

 private:
  static constexpr std::size_t block_size = 64 * 1024;
  static constexpr std::size_t most_known = 15;  // which a string holds without the heap

  bool answer(bool more) {
    more_ = more;
    // A last line without an end is looked at when it is known to be the last one.
    return more_ ? search_.found_for_good() : search_.found();
  }
  /// The first `size` bytes of the text, which begins with `last_`, have been searched.
  void advance(std::string_view text, std::size_t size) {
    offset_ += static_cast<long long>(size - last_.size());
    last_ = text.substr(size - std::min(size, most_known), std::min(size, most_known));
  }
  /// Nothing more is there, or the file has been cut.
  bool look_at_end() {
    more_ = offset_ > file_->size();
    return more_ ? begin_again() : search_.found();
  }
  /// The file has been cut.
  bool begin_again() {
    const bool has_earlier = file_->size() >= 0 && end_of_earlier() == earlier_;
    offset_ = has_earlier ? 0 : -file_->begin();
    last_ = has_earlier ? earlier_ : std::string{};
    terminal_ = {};
    search_.restart();
    more_ = true;
    return false;
  }
  /// The last bytes before the run's part of the file.
  [[nodiscard]] std::string end_of_earlier() const {
    std::string text(static_cast<std::size_t>(std::clamp<long long>(file_->begin(), 0, most_known)),
                     '\0');
    if (file_->read(-static_cast<long long>(text.size()), text) < text.size()) text.clear();
    return text;
  }

  const OutputFile* file_;
  LineSearch search_;
  std::string earlier_, last_;  // the bytes before the run's begin, and before `offset_`
  detail::TerminalText terminal_;
  std::string plain_;  // read, and not searched yet
  std::unique_ptr<char[]> block_ = std::make_unique_for_overwrite<char[]>(block_size);
  long long offset_ = 0;
  long long end_ = std::numeric_limits<long long>::max() / 2;
  bool more_ = false;
};

}  // namespace mirakuru
