// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/inotify.h>
#include <algorithm>
#include <chrono>
#include <limits>
#include <span>
#include <vector>

#include <mirakuru/ready/banner.hpp>
#include <mirakuru/ready/file_probe.hpp>
#include <mirakuru/text/line_search.hpp>

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

  /// Looks through the next block, or what of it there is time for. `more` when something is left.
  bool found(const OutputStreams& streams, std::span<char> block, Clock::time_point until,
             bool& more) {
    if (end - offset < static_cast<long long>(block.size()))
      block = block.first(static_cast<std::size_t>(end - offset));
    const auto read = err ? streams.read_err(offset, block) : streams.read_out(offset, block);
    if (read == 0) {
      const auto now = size(streams);
      if (offset <= now) return search.found();
      // The file has been cut off: what is in it now is read from this run's begin, or from its own
      // if not even that is left.
      offset = now < 0 ? -(err ? streams.err_begin() : streams.out_begin()) : 0;
      search.restart();
      more = true;
      return false;
    }
    const auto taken = search.take({block.data(), read}, until);
    offset += static_cast<long long>(taken);
    // A last line without an end is looked at when it is known to be the last one.
    if (taken == read && read < block.size()) return search.found();
    more = true;
    return search.found_for_good();
  }

  [[nodiscard]] long long size(const OutputStreams& streams) const {
    return err ? streams.err_size() : streams.out_size();
  }

  LineSearch search;
  bool err;
  long long offset = 0;
  long long end = std::numeric_limits<long long>::max() / 2;
};

/// Searches the output of a process.
class BannerProbe final : public ChangeProbe {
 public:
  BannerProbe(const BannerCheck& check, const Process& process)
      : ChangeProbe{process}, streams_{process.streams()} {
    searched_.reserve(2);
    if (check.stream != Stream::err) searched_.emplace_back(check.pattern, false);
    if (check.stream != Stream::out) searched_.emplace_back(check.pattern, true);
  }

  Readiness poll(TimePoint now) override {
    using namespace std::chrono_literals;
    if (!tried_to_follow_) follow();
    const auto until = Clock::now() + 2ms;
    count_look(now);
    if (found(until)) return true;
    // The events are taken before a look, so that no change falls in between.
    const bool ready = !more_ && changes_.drain() && found(until);
    if (now >= closed_at_) more_ = false;
    return ready;
  }
  void wait(TimePoint now, WaitSet& waits) const override {
    more_ ? waits.until(now) : wait_for_change(now, std::chrono::seconds{1}, waits);
  }
  [[nodiscard]] bool pending() const noexcept override { return more_ || ChangeProbe::pending(); }
  void close(TimePoint until) override {
    closed_at_ = until;
    for (auto& stream : searched_) stream.end = std::max(stream.offset, stream.size(streams_));
  }

 private:
  void follow() {
    tried_to_follow_ = following_ = true;
    for (const auto& stream : searched_) {
      const auto fd = std::to_string(stream.err ? streams_.err() : streams_.out());
      bool news = false;
      following_ &= changes_.follow("/proc/self/fd/" + fd, IN_MODIFY, {}, news);
    }
  }

  bool found(TimePoint until) {
    do {
      more_ = false;
      for (auto& stream : searched_)
        if (stream.found(streams_, block_, until, more_)) return true;
    } while (more_ && Clock::now() < until);
    return false;
  }

  const OutputStreams& streams_;
  std::vector<BannerStream> searched_;
  std::vector<char> block_ = std::vector<char>(64 * 1024);
  bool tried_to_follow_ = false, more_ = false;
  TimePoint closed_at_ = TimePoint::max();
};

}  // namespace detail

MIRAKURU_DECL std::unique_ptr<Probe> BannerCheck::probe(const Process& process) const {
  return std::make_unique<detail::BannerProbe>(*this, process);
}

}  // namespace mirakuru
