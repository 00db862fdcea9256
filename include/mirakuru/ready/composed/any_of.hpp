// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>

#include <mirakuru/ready/composed/arms.hpp>
#include <mirakuru/ready/composed/composed.hpp>

namespace mirakuru {

namespace detail {

template <std::size_t count>
class AnyOfProbe final : public ArmsProbe<count> {
 public:
  template <class Checks>
  AnyOfProbe(Checks& checks, const Process& process) : ArmsProbe<count>{checks, process} {}

  Readiness poll(TimePoint now) override {
    this->poll_arms(now);
    bool all_out = true;
    for (const auto& arm : this->arms_) {
      if (arm.passed) return this->ready();
      all_out &= arm.out;
    }
    if (all_out && this->process_->running()) this->throw_out();
    return not_ready(this->reasons());
  }
};

}  // namespace detail

/// Ready when one of its checks is. It looks at all of them at once.
///
/// A check that can no longer become ready is out, and the start fails at once when all are. A
/// check that is true before the start is `AlreadyRunning`. An exception of a check ends the start.
template <class... Checks>
class AnyOf : public detail::Composed<Checks...> {
 public:
  static constexpr bool valid_after_exit = (detail::ValidAfterExit<Checks> || ...);

  explicit AnyOf(Checks... checks) : detail::Composed<Checks...>{std::move(checks)...} {}

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const { return this->describe_as("any of"); }
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const {
    return std::make_unique<detail::AnyOfProbe<sizeof...(Checks)>>(this->checks_, process);
  }
};

}  // namespace mirakuru
