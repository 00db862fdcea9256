// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>

#include <mirakuru/ready/composed/arms.hpp>
#include <mirakuru/ready/composed/composed.hpp>

namespace mirakuru {

namespace detail {

template <std::size_t count>
class AllOfProbe final : public ArmsProbe<count> {
 public:
  template <class Checks>
  AllOfProbe(Checks& checks, const Process& process) : ArmsProbe<count>{checks, process} {}

  Readiness poll(TimePoint now) override {
    this->poll_arms(now);
    bool all_passed = true;
    for (const auto& arm : this->arms_) {
      if (arm.out && this->process_->running()) this->throw_out();
      all_passed &= arm.passed;
    }
    return all_passed ? this->ready() : not_ready(this->reasons());
  }
};

}  // namespace detail

/// Ready when all of its checks have been. It looks at all of them at once; the checks of an
/// executor come in turn.
///
/// The start fails at once if one of them can no longer become ready. A check that is true before
/// the start is `AlreadyRunning`. An exception of a check ends the start.
template <class... Checks>
class AllOf : public detail::Composed<Checks...> {
 public:
  static constexpr bool valid_after_exit = (detail::ValidAfterExit<Checks> && ...);

  explicit AllOf(Checks... checks) : detail::Composed<Checks...>{std::move(checks)...} {}

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const { return this->describe_as("all of"); }
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const {
    return std::make_unique<detail::AllOfProbe<sizeof...(Checks)>>(this->checks_, process);
  }
};

}  // namespace mirakuru
