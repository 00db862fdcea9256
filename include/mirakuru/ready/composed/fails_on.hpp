// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>
#include <utility>

#include <mirakuru/ready/composed/composed.hpp>

namespace mirakuru {

/// No check, but a watcher beside all of them: the start fails at once when its check holds, as
/// `FailsOn{BannerCheck{"FATAL|already in use"}}`. The message quotes the line. An executor takes
/// any number of them.
template <class Check>
class FailsOn {
  static_assert(ReadinessCheck<Check>, "mirakuru: FailsOn takes a readiness check");

 public:
  static constexpr bool watches = true;
  static constexpr bool reads_output = detail::ReadsOutput<Check>;
  static constexpr bool needs_asio = detail::NeedsAsio<Check>;
  static constexpr bool needs_preparation = detail::NeedsPreparation<Check>;
  static constexpr bool looks_here = detail::LooksHere<Check>;

  explicit FailsOn(Check check) : check_{std::move(check)} {}

  /// Names it in messages.
  [[nodiscard]] std::string describe() const { return detail::name_of(check_); }
  /// Called before the spawn.
  void prepare(LaunchRequest& request) const
    requires detail::Prepares<Check>
  {
    check_.prepare(request);
  }
  /// The line that has made it fail; empty if its check reads no lines.
  [[nodiscard]] std::string quote(const Process& process) const {
    if constexpr (requires { check_.quote(process); }) return check_.quote(process);
    return {};
  }
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> watch(const Process& process) const {
    return detail::make_probe(check_, process);
  }

 private:
  mutable Check check_;
};

}  // namespace mirakuru
