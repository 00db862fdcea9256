// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <mirakuru/ready/probe.hpp>
#include <mirakuru/spawn/launch.hpp>

namespace mirakuru::detail {

/// Waits for the news that a command on another machine is executed.
class ExecutedProbe final : public Probe {
 public:
  explicit ExecutedProbe(const Process& process) : process_{process} {
    const auto* const far = process.context().far;
    if (far != nullptr && far->command.why_not_yet) reason_ = far->command.why_not_yet(process);
  }

  Readiness poll(TimePoint now) override {
    const auto* const far = process_.context().far;
    if (far == nullptr || far->executed) return true;
    return reason_ ? not_ready(reason_->poll(now).reason()) : Readiness{};
  }
  void wait(TimePoint now, WaitSet& waits) const override {
    // The start looks at the process first when its descriptor is readable.
    waits.add(process_.context().event);
    waits.until(after(now, std::chrono::milliseconds{100}));
    if (reason_) reason_->wait(now, waits);
  }

 private:
  const Process& process_;
  std::shared_ptr<Probe> reason_;
};

/// The first check of a command that is executed later, on another machine.
struct ExecutedCheck {
  static constexpr bool valid_after_exit = true;  // the news of both may come together

  [[nodiscard]] std::string describe() const { return "its execution"; }
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const {
    return std::make_unique<ExecutedProbe>(process);
  }
};

}  // namespace mirakuru::detail
