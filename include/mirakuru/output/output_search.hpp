// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <limits>

#include <mirakuru/os/clock.hpp>
#include <mirakuru/output/output_file.hpp>
#include <mirakuru/text/line_matcher.hpp>
#include <mirakuru/text/line_search.hpp>
#include <mirakuru/text/terminal_text.hpp>

namespace mirakuru {

/// Searches a run's part of a file for a line, block by block, while the file grows.
///
/// Colours are left out, and a lone carriage return ends a line. A last line without an end counts
/// as far as it has come. A file that has been cut is searched
/// again from the run's begin, or from the file's if even that is gone.
class OutputSearch {
 public:
  /// Both must outlive the search. With `counts` it goes on after a line that matches.
  OutputSearch(const OutputFile& file, const LineMatcher& matcher, bool counts = false)
      : file_{&file}, search_{matcher, counts} {}

  /// Searches the next block, until `until` but one line at least. Returns true if a line matches.
  /// Throws `std::system_error` when the file cannot be read. Rests on `pread`.
  bool look(TimePoint until = TimePoint::max()) {
    bool full = false;
    if (plain_.empty()) {
      std::span block{block_.get(), block_size};
      if (end_ - offset_ < static_cast<long long>(block.size()))
        block = block.first(static_cast<std::size_t>(end_ - offset_));
      const auto read = file_->read(offset_, block);
      if (read == 0) return look_at_end();
      full = read == block.size();
      if (!terminal_.wants({block.data(), read})) {
        const auto taken = search_.take({block.data(), read}, until);
        offset_ += static_cast<long long>(taken);
        return answer(taken < read || full);
      }
      terminal_.feed({block.data(), read}, plain_);
      offset_ += static_cast<long long>(read);
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

  bool answer(bool more) {
    more_ = more;
    // A last line without an end is looked at when it is known to be the last one.
    return more_ ? search_.found_for_good() : search_.found();
  }
  /// Nothing more is there, or the file has been cut.
  bool look_at_end() {
    const auto size = file_->size();
    more_ = offset_ > size;
    if (!more_) return search_.found();
    offset_ = size < 0 ? -file_->begin() : 0;
    terminal_ = {};
    search_.restart();
    return false;
  }

  const OutputFile* file_;
  LineSearch search_;
  detail::TerminalText terminal_;
  std::string plain_;  // read, and not searched yet
  std::unique_ptr<char[]> block_ = std::make_unique_for_overwrite<char[]>(block_size);
  long long offset_ = 0;
  long long end_ = std::numeric_limits<long long>::max() / 2;
  bool more_ = false;
};

}  // namespace mirakuru
