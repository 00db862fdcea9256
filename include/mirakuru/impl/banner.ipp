// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/inotify.h>
#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include <mirakuru/detail/line_search.hpp>
#include <mirakuru/detail/watch.hpp>
#include <mirakuru/process.hpp>
#include <mirakuru/ready/banner.hpp>

namespace mirakuru {

MIRAKURU_DECL std::string BannerCheck::describe() const {
  const char* const where = stream == Stream::out   ? " on standard output"
                            : stream == Stream::err ? " on standard error"
                                                    : "";
  const auto& expression = pattern.expression();
  return (expression.empty() ? "a line that matches" : "a line with '" + expression + "'") + where;
}

namespace detail {

/// One stream, and how far it has been looked through.
struct BannerStream {
  BannerStream(const LineMatcher& matcher, bool of_err) : search{matcher}, err{of_err} {}

  /// Looks through the next block. `more` when there may be another one.
  bool found(const OutputStreams& streams, std::span<char> block, bool& more) {
    block = block.first(std::min(block.size(), static_cast<std::size_t>(end - offset)));
    const auto read = err ? streams.read_err(offset, block) : streams.read_out(offset, block);
    if (read == 0) {
      if (offset <= size(streams)) return false;
      offset = 0;  // the file has been cut off
      more = true;
      return false;
    }
    offset += static_cast<long long>(read);
    more |= read == block.size();
    return search.feed({block.data(), read});
  }

  [[nodiscard]] long long size(const OutputStreams& streams) const {
    return err ? streams.err_size() : streams.out_size();
  }

  LineSearch search;
  bool err;
  long long offset = 0;
  long long end = std::numeric_limits<long long>::max();
};

class BannerWatch : public Watch {
 public:
  BannerWatch(const BannerCheck& check, const OutputStreams& streams) : streams_{streams} {
    searched_.reserve(2);
    if (check.stream != Stream::err) searched_.emplace_back(check.pattern, false);
    if (check.stream != Stream::out) searched_.emplace_back(check.pattern, true);
    for (const auto& stream : searched_) {
      const auto fd = std::to_string(stream.err ? streams.err() : streams.out());
      followed_ &=
          changes_.follow("/proc/self/fd/" + fd, IN_MODIFY) != FileChanges::Followed::not_at_all;
    }
  }

  Readiness look() override {
    if (found()) return true;
    // The changes so far are forgotten before a look, so that none falls in between.
    return !more_ && changes_.drain() && found();
  }
  [[nodiscard]] bool more() const noexcept override { return more_; }
  void close() override {
    for (auto& stream : searched_) stream.end = std::max(stream.offset, stream.size(streams_));
  }
  [[nodiscard]] std::chrono::nanoseconds pause(std::chrono::nanoseconds waited) const override {
    return followed_ ? std::chrono::seconds{1} : pause_after(waited);
  }

 private:
  bool found() {
    more_ = true;
    for (int block = 0; more_ && block < 8; ++block) {
      more_ = false;
      for (auto& stream : searched_)
        if (stream.found(streams_, block_, more_)) return true;
    }
    return false;
  }

  const OutputStreams& streams_;
  std::vector<BannerStream> searched_;
  std::vector<char> block_ = std::vector<char>(64 * 1024);
  bool followed_ = true, more_ = false;
};

}  // namespace detail

MIRAKURU_DECL std::unique_ptr<detail::Watch> BannerCheck::watch(const Process& process) const {
  return std::make_unique<detail::BannerWatch>(*this, process.streams());
}

}  // namespace mirakuru
