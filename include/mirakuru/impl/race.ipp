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

MIRAKURU_DECL Race::Fds Race::take_fds() {
  auto fds = std::exchange(fds_, none);
  if (exchange_) fds[1] = exchange_->socket();
  return fds;
}

MIRAKURU_DECL void Race::arm() {
  news_ = true;
  core().arm(take_fds(), writing(), std::exchange(until_, Clock::time_point::max()));
}

/// Rests on `ppoll`.
MIRAKURU_DECL void Race::poll() {
  const auto fds = take_fds();
  const auto moment = std::exchange(until_, Clock::time_point::max());
  const short second = writing() ? POLLOUT : POLLIN;
  pollfd events[] = {{.fd = fds[0], .events = POLLIN, .revents = 0},
                     {.fd = fds[1], .events = second, .revents = 0}};
  const auto left = std::max(moment - Clock::now(), Clock::duration::zero());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
  const timespec limit{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
  ::ppoll(events, 2, moment == Clock::time_point::max() ? nullptr : &limit, nullptr);
  news_ = events[0].revents != 0;
}

MIRAKURU_DECL void Race::run() {
  if (!core_ || !core_->attempting) return poll();
  arm();
  core_->own->restart();
  while (!core_->settled() && core_->own->run_one() > 0) {
  }
}

MIRAKURU_DECL std::optional<Readiness> Race::enter(std::unique_ptr<Exchange> exchange) {
  auto answer = exchange->step();
  if (!answer) exchange_ = std::move(exchange);
  return answer;
}

MIRAKURU_DECL void Race::go_on() {
  if (!exchange_) return;
  if (core_) core_->let_go();  // it may close its socket, and open another one of that number
  readiness_ = exchange_->step();
  if (readiness_) exchange_.reset();
}

MIRAKURU_DECL void Race::forget() noexcept {
  if (core_) core_->let_go();
}

MIRAKURU_DECL bool Race::attempting() const noexcept {
  return exchange_ || (core_ && core_->attempting);
}

MIRAKURU_DECL void Race::call_off() {
  if (exchange_ && core_) core_->let_go();
  exchange_.reset();
  if (core_) core_->call_off();
}

MIRAKURU_DECL std::optional<Readiness> Race::take_readiness() {
  if (readiness_ || !core_) return std::exchange(readiness_, std::nullopt);
  if (auto error = std::exchange(core_->error, nullptr)) std::rethrow_exception(error);
  return std::exchange(core_->readiness, std::nullopt);
}

}  // namespace mirakuru::detail
