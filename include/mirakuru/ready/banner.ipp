// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/inotify.h>

#include <mirakuru/output/output_search.hpp>
#include <mirakuru/ready/banner.hpp>
#include <mirakuru/ready/file_probe.hpp>

namespace mirakuru {

MIRAKURU_DECL std::string BannerCheck::describe() const {
  const char* const where = stream == Stream::out   ? " on standard output"
                            : stream == Stream::err ? " on standard error"
                                                    : "";
  const auto& expression = pattern.expression();
  return (expression.empty() ? "a line that matches" : "a line with '" + expression + "'") + where;
}

namespace detail {

/// Searches the output of a process.
class BannerProbe final : public ChangeProbe {
 public:
  BannerProbe(const BannerCheck& check, const Process& process) : ChangeProbe{process} {
    following_ = true;
    if (check.stream != Stream::err) search(process.streams().out(), check.pattern);
    if (check.stream != Stream::out) search(process.streams().err(), check.pattern);
  }

  Readiness poll(TimePoint now) override {
    using namespace std::chrono_literals;
    const auto until = Clock::now() + 2ms;
    count_look(now);
    if (found(until)) return true;
    // The events are taken before a look, so that no change falls in between.
    const bool ready = !more_ && changes_.drain() && found(until);
    if (now >= closed_at_) more_ = false;
    return ready;
  }
  void wait(TimePoint now, WaitSet& waits) const override {
    wait_for_change(now, std::chrono::seconds{1}, waits);
  }
  void close(TimePoint until) override {
    closed_at_ = until;
    for (auto& search : searches_) search.freeze();
  }

 private:
  void search(const OutputFile& file, const LineMatcher& matcher) {
    searches_.emplace_back(file, matcher);
    bool news = false;
    following_ &=
        changes_.follow("/proc/self/fd/" + std::to_string(file.fd()), IN_MODIFY, {}, news);
  }

  bool found(TimePoint until) {
    do {
      more_ = false;
      for (auto& search : searches_) {
        if (search.look(until)) return true;
        more_ |= search.more();
      }
    } while (more_ && Clock::now() < until);
    return false;
  }

  std::vector<OutputSearch> searches_;
  TimePoint closed_at_ = TimePoint::max();
};

}  // namespace detail

MIRAKURU_DECL std::unique_ptr<Probe> BannerCheck::probe(const Process& process) const {
  return std::make_unique<detail::BannerProbe>(*this, process);
}

}  // namespace mirakuru
