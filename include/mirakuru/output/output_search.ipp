// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <mirakuru/output/output_search.hpp>

namespace mirakuru {

MIRAKURU_DECL bool OutputSearch::look(TimePoint until) {
  std::span block{block_.get(), block_size};
  if (end_ - offset_ < static_cast<long long>(block.size()))
    block = block.first(static_cast<std::size_t>(end_ - offset_));
  const auto read = file_->read(offset_, block);
  if (read == 0) {
    const auto size = file_->size();
    more_ = offset_ > size;
    if (!more_) return found_ = search_.found();
    // The file has been cut.
    offset_ = size < 0 ? -file_->begin() : 0;
    search_.restart();
    return found_ = false;
  }
  const auto taken = search_.take({block.data(), read}, until);
  offset_ += static_cast<long long>(taken);
  more_ = taken < read || read == block.size();
  // A last line without an end is looked at when it is known to be the last one.
  return found_ = more_ ? search_.found_for_good() : search_.found();
}

MIRAKURU_DECL void OutputSearch::freeze() { end_ = std::max(offset_, file_->size()); }

}  // namespace mirakuru
