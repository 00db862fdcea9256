// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <mirakuru/budget/duration.hpp>
#include <mirakuru/ready/composed/composed.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru {

namespace detail {

/// Looks again and again, by a fresh probe each time.
template <class Check>
class StableProbe final : public Probe {
 public:
  StableProbe(Check& check, const Process& process, std::chrono::nanoseconds span)
      : check_{check}, process_{process}, span_{span} {}

  Readiness poll(TimePoint now) override {
    if (!looking_) {
      if (!closed_ && now < next_look_) return {};
      inner_.begin(make_probe(check_, process_));
      looking_ = true;
      if (closed_) inner_.close(until_);
    } else if (!closed_ && !inner_.due(now)) {
      return {};
    }
    const auto answer = inner_.poll(now);
    if (answer) {
      looking_ = false;
      since_ = std::min(since_, now);
      if (now >= after(since_, span_)) return answer;
      next_look_ = std::min(after(now, span_ / 8), after(since_, span_));
      return not_ready("ready for " + to_text(now - since_) + " of " + to_text(span_));
    }
    if (!inner_.pending()) since_ = TimePoint::max();
    return answer;
  }
  void wait(TimePoint now, WaitSet& waits) const override {
    if (looking_)
      inner_.wait(now, waits);
    else
      waits.until(next_look_);
  }
  [[nodiscard]] bool pending() const noexcept override { return looking_ && inner_.pending(); }
  void close(TimePoint until) override {
    closed_ = true;
    until_ = until;
    if (looking_) inner_.close(until);
  }
  /// Those of the last look.
  [[nodiscard]] std::vector<CheckTimes> arms() const override { return inner_.arms(); }

 private:
  Check& check_;
  const Process& process_;
  std::chrono::nanoseconds span_;
  mutable ProbeRun inner_;
  bool looking_ = false, closed_ = false;
  TimePoint since_ = TimePoint::max();  // ready at each look since then
  TimePoint next_look_ = {}, until_ = {};
};

}  // namespace detail

/// Ready when its check has been ready all the time for a span: `StableFor{500ms, HTTPCheck{url}}`.
/// It looks at each eighth of the span, which begins anew after a look that is not ready. It does
/// not see a change that is undone before the next look.
template <class Check>
class StableFor : public detail::Wrapped<Check> {
 public:
  /// Throws `std::invalid_argument` for a negative span.
  StableFor(Duration span, Check check) : detail::Wrapped<Check>{std::move(check)}, span_{span} {
    if (span_ < std::chrono::nanoseconds::zero())
      throw std::invalid_argument{"the span of StableFor is negative"};
  }

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const {
    return detail::name_of(this->check_) + ", for " + detail::to_text(span_);
  }
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const {
    return std::make_unique<detail::StableProbe<Check>>(this->check_, process, span_);
  }

 private:
  std::chrono::nanoseconds span_;
};

}  // namespace mirakuru
