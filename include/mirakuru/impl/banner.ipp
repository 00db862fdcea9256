// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include <asio/post.hpp>

#include <mirakuru/detail/file_watch.hpp>
#include <mirakuru/detail/line_search.hpp>
#include <mirakuru/detail/race_core.hpp>
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
    if (offset > size(streams)) offset = 0;  // the file has been cut off
    block = block.first(std::min(block.size(), static_cast<std::size_t>(end - offset)));
    const auto read = err ? streams.read_err(offset, block) : streams.read_out(offset, block);
    offset += static_cast<long long>(read);
    more |= read > 0 && read == block.size();
    return read > 0 && search.feed({block.data(), read});
  }

  [[nodiscard]] long long size(const OutputStreams& streams) const {
    return err ? streams.err_size() : streams.out_size();
  }

  LineSearch search;
  bool err;
  long long offset = 0;
  long long end = std::numeric_limits<long long>::max();
};

inline asio::awaitable<Readiness> await_banner(const BannerCheck& check, const Process& process,
                                               std::shared_ptr<SpentFds> spent) {
  // Called off, it still looks through what is there at that time: the banner may be in it.
  co_await asio::this_coro::throw_if_cancelled(false);
  const auto executor = co_await asio::this_coro::executor;
  const auto& streams = process.streams();
  std::vector<BannerStream> searched;
  searched.reserve(2);
  if (check.stream != Stream::err) searched.emplace_back(check.pattern, false);
  if (check.stream != Stream::out) searched.emplace_back(check.pattern, true);

  FileWatch watch{executor, std::move(spent)};
  bool watched = true;
  for (const auto& stream : searched) {
    const auto fd = std::to_string(stream.err ? streams.err() : streams.out());
    watched &= watch.add("/proc/self/fd/" + fd, IN_MODIFY);
  }

  std::vector<char> block(64 * 1024);
  const auto begin = Clock::now();
  for (bool last = false;;) {
    const auto state = co_await asio::this_coro::cancellation_state;
    if (!last && (state.cancelled() != asio::cancellation_type::none || !process.running())) {
      last = true;
      for (auto& stream : searched) stream.end = std::max(stream.offset, stream.size(streams));
    }
    bool more = false;
    for (auto& stream : searched)
      if (stream.found(streams, block, more)) co_return true;
    if (last && !more) co_return false;
    if (last) continue;
    if (more)  // a flood must not keep the deadline and the exit from being seen
      co_await asio::post(executor, asio::use_awaitable);
    else
      co_await watch.changed(watched ? std::chrono::seconds{1} : pause_after(Clock::now() - begin));
  }
}

MIRAKURU_DECL Attempt enter(Race& race, const BannerCheck* check, const Process& process) {
  race.core().enter(await_banner(*check, process, race.core().spent));
  return Attempt::open_ended;
}

}  // namespace detail
}  // namespace mirakuru
