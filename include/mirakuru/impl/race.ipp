// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <poll.h>
#include <algorithm>
#include <ctime>
#include <exception>
#include <utility>

#include <mirakuru/detail/race.hpp>
#include <mirakuru/detail/race_core.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL Race::Race() = default;
MIRAKURU_DECL Race::Race(std::unique_ptr<Core> core) : core_{std::move(core)} {}
MIRAKURU_DECL Race::~Race() = default;

MIRAKURU_DECL Race::Core& Race::core() {
  if (!core_) core_ = std::make_unique<Core>();
  return *core_;
}

MIRAKURU_DECL void Race::arm() {
  core().arm(std::exchange(fds_, none), std::exchange(until_, Clock::time_point::max()));
}

/// Waits until a descriptor is readable or the moment has come. Rests on `ppoll`.
inline void poll_until(const std::array<int, 2>& fds, Clock::time_point moment) {
  pollfd events[] = {{.fd = fds[0], .events = POLLIN, .revents = 0},
                     {.fd = fds[1], .events = POLLIN, .revents = 0}};
  const auto left = std::max(moment - Clock::now(), Clock::duration::zero());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
  const timespec limit{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
  ::ppoll(events, 2, moment == Clock::time_point::max() ? nullptr : &limit, nullptr);
}

MIRAKURU_DECL void Race::run() {
  if (!attempting())
    return poll_until(std::exchange(fds_, none), std::exchange(until_, Clock::time_point::max()));
  arm();
  core_->own->restart();
  while (!core_->settled() && core_->own->run_one() > 0) {
  }
}

MIRAKURU_DECL void Race::forget() noexcept {
  if (core_) core_->let_go();
}

MIRAKURU_DECL bool Race::attempting() const noexcept { return core_ && core_->attempting; }

MIRAKURU_DECL void Race::call_off() {
  if (core_) core_->call_off();
}

MIRAKURU_DECL std::optional<Readiness> Race::take_readiness() {
  if (!core_) return {};
  if (auto error = std::exchange(core_->error, nullptr)) std::rethrow_exception(error);
  return std::exchange(core_->readiness, std::nullopt);
}

}  // namespace mirakuru::detail
