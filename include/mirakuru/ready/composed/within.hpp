// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <mirakuru/budget/duration.hpp>
#include <mirakuru/ready/composed/composed.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru {

namespace detail {

class WithinProbe final : public Probe {
 public:
  WithinProbe(std::unique_ptr<Probe> inner, std::chrono::nanoseconds limit) : limit_{limit} {
    inner_.begin(std::move(inner));
  }

  Readiness poll(TimePoint now) override {
    if (deadline_ == TimePoint{}) deadline_ = after(now, limit_);
    const bool over = now >= deadline_;
    if (over && !std::exchange(closed_, true))
      inner_.close(after(deadline_, grace));
    else if (!over && !closed_ && !inner_.due(now))
      return {};
    const auto answer = inner_.poll(now);
    if (!answer.reason().empty()) reason_ = answer.reason();
    if (!answer && over && !inner_.pending()) throw DeadlinePassed{reason_, limit_};
    return answer;
  }
  void wait(TimePoint now, WaitSet& waits) const override {
    inner_.wait(now, waits);
    if (!closed_) waits.until(deadline_);
  }
  [[nodiscard]] bool pending() const noexcept override { return inner_.pending(); }
  void close(TimePoint until) override {
    closed_ = true;
    inner_.close(until);
  }
  [[nodiscard]] std::vector<CheckTimes> arms() const override { return inner_.arms(); }

 private:
  static constexpr std::chrono::milliseconds grace{50};  // for input that is there at the deadline

  mutable ProbeRun inner_;
  std::chrono::nanoseconds limit_;
  TimePoint deadline_ = {};
  bool closed_ = false;
  std::string reason_;
};

}  // namespace detail

/// Ready when its check is, which has a deadline of its own: `Within{5s, PidCheck{path}}`. The time
/// begins with the check's first attempt. The start budget holds besides.
///
/// Then the start throws `TimeoutExpired` with this limit; in an `AnyOf` the check is out.
template <class Check>
class Within : public detail::Wrapped<Check> {
 public:
  static constexpr bool valid_after_exit = detail::ValidAfterExit<Check>;

  /// Throws `std::invalid_argument` for a negative limit.
  Within(Duration limit, Check check) : detail::Wrapped<Check>{std::move(check)}, limit_{limit} {
    if (limit_ < std::chrono::nanoseconds::zero())
      throw std::invalid_argument{"the limit of Within is negative"};
  }

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const {
    return detail::name_of(this->check_) + ", within " + detail::to_text(limit_);
  }
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const {
    return std::make_unique<detail::WithinProbe>(detail::make_probe(this->check_, process), limit_);
  }

 private:
  std::chrono::nanoseconds limit_;
};

}  // namespace mirakuru
