// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/inotify.h>
#include <algorithm>

#include <mirakuru/os/printable.hpp>
#include <mirakuru/ready/file/banner.hpp>
#include <mirakuru/ready/file/line_probe.hpp>

namespace mirakuru {

MIRAKURU_DECL std::string BannerCheck::describe() const {
  const char* const where = stream == Stream::out   ? " on standard output"
                            : stream == Stream::err ? " on standard error"
                                                    : "";
  const auto expression = detail::one_line(pattern.expression());
  return (expression.empty() ? "a line that matches" : "a line with '" + expression + "'") +
         (times > 1 ? ", " + std::to_string(times) + " times" : "") + where;
}

namespace detail {

/// True if a line of the file matches, as far as one can look in a moment.
inline bool has_line(const OutputFile& file, const LineMatcher& pattern) {
  const auto until = Clock::now() + std::chrono::milliseconds{20};
  const auto fresh = pattern.fresh();
  OutputSearch search{file, fresh ? *fresh : pattern};
  search.freeze();
  do {
    if (search.look(until)) return true;
  } while (search.more() && Clock::now() < until);
  return false;
}

}  // namespace detail

MIRAKURU_DECL std::string BannerCheck::hint(const Process& process) const {
  constexpr long long megabyte = 1 << 20;
  const auto* const run = process.context().run;
  const auto& streams = run != nullptr ? *run : process.streams();
  std::string begin;
  for (const auto which : {Stream::out, Stream::err}) {
    if (stream != Stream::both && stream != which) continue;
    const auto& file = which == Stream::out ? streams.out() : streams.err();
    if (run != nullptr && detail::has_line(file, pattern))
      return "a line before the call of wait_for() matches; it looks at output from the call on";
    const auto before = begin.size();
    begin.resize(before + static_cast<std::size_t>(std::clamp(file.size(), 0LL, megabyte)));
    begin.resize(before + file.read(0, std::span{begin}.subspan(before)));
  }
  if (begin.empty())
    return "output that goes to a file is often buffered: try python3 -u or stdbuf -oL";
  if (detail::has_expression_as_text(pattern, begin))
    return "the output has the pattern as plain text: put a \\ before its special characters";
  return {};
}

MIRAKURU_DECL std::string BannerCheck::quote(const Process& process) const {
  const auto& streams = process.streams();
  auto line = stream == Stream::err ? std::string{} : detail::first_line(streams.out(), pattern);
  if (line.empty() && stream != Stream::out) line = detail::first_line(streams.err(), pattern);
  return line;
}

namespace detail {

/// Searches the output of a process.
class BannerProbe final : public LineProbe {
 public:
  BannerProbe(const BannerCheck& check, const Process& process)
      : LineProbe{process, {}, check.pattern, check.times} {
    following_ = true;
    if (check.stream != Stream::err) follow(process.streams().out());
    if (check.stream != Stream::out) follow(process.streams().err());
  }

  void wait(TimePoint now, WaitSet& waits) const override {
    wait_for_change(now, std::chrono::seconds{1}, waits);
  }

 private:
  void follow(const OutputFile& file) {
    search(file);
    bool news = false;
    following_ &=
        changes_.follow("/proc/self/fd/" + std::to_string(file.fd()), IN_MODIFY, {}, news);
  }
};

}  // namespace detail

MIRAKURU_DECL std::unique_ptr<Probe> BannerCheck::probe(const Process& process) const {
  return std::make_unique<detail::BannerProbe>(*this, process);
}

}  // namespace mirakuru
