// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <csignal>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/command.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/nameless_file.hpp>
#include <mirakuru/os/wait_set.hpp>
#include <mirakuru/output/output_file.hpp>
#include <mirakuru/spawn/request.hpp>
#include <mirakuru/stop/schedule.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru::detail {

/// A way to stop a service that comes before the signals, and takes time.
class StopWay {
 public:
  virtual ~StopWay() = default;

  [[nodiscard]] virtual bool lives() = 0;
  /// True once, if it has failed.
  [[nodiscard]] virtual bool has_failed() = 0;
  [[nodiscard]] virtual std::string failure() const = 0;
  /// Kills it. True once, if it lives for too long after that.
  [[nodiscard]] virtual bool resists(TimePoint now) = 0;
  virtual void wait(TimePoint now, WaitSet& waits) const = 0;
};

/// The command of `StopByCommand`.
template <class Spawner>
class StopCommand final : public StopWay {
 public:
  StopCommand(const Spawner& spawner, const ResolvedCommand& command,
              std::chrono::nanoseconds budget)
      : name_{command.text()} {
    try {
      output_ = OutputFile{nameless_file("a temporary file for its output", O_APPEND)};
      output_.keep();
      const auto input = checked_fd(::open("/dev/null", O_RDONLY | O_CLOEXEC), "open /dev/null");
      auto request = request_of(command, input.get(), output_.fd());
      request.start_budget = budget;
      process_.emplace(spawner.spawn(request));
    } catch (const std::exception& error) {
      failure_ = error.what();
    }
  }

  bool lives() override { return process_ && process_->alive(); }
  /// Also if it cannot be run.
  bool has_failed() override {
    if (process_ && !process_->alive()) {
      const int code = process_->exit_code().value_or(0);
      if (code != 0) failure_ = exit_headline(code) + "; " + last_lines(output_.tail(), 3);
      process_.reset();
    }
    return !failure_.empty() && !std::exchange(told_, true);
  }
  std::string failure() const override {
    return "the command that stops it, " + name_ + ": " + failure_;
  }
  /// It is left to its guardian then.
  bool resists(TimePoint now) override {
    if (killed_at_ == TimePoint{}) {
      killed_at_ = now;
      process_->signal(SIGKILL);
    }
    std::chrono::nanoseconds grace = SignalSchedule::grace;
    if constexpr (requires { process_->refused(); })
      if (process_->refused()) grace = std::chrono::milliseconds{100};
    if (now < after(killed_at_, grace)) return false;
    process_.reset();
    return true;
  }
  void wait(TimePoint now, WaitSet& waits) const override {
    if (!process_) return;
    waits.add(process_->event());
    waits.until(after(now, std::chrono::milliseconds{process_->event() < 0 ? 5 : 100}));
  }

 private:
  std::optional<decltype(std::declval<const Spawner&>().spawn(
      std::declval<const LaunchRequest&>()))>
      process_;
  OutputFile output_;
  std::string name_, failure_;
  bool told_ = false;
  TimePoint killed_at_ = {};
};

}  // namespace mirakuru::detail
