// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <poll.h>
#include <algorithm>
#include <ctime>
#include <utility>

#include <mirakuru/engine/loop.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL Race::~Race() { forget(); }

MIRAKURU_DECL Waits Race::take_waits() {
  news_ = true;
  auto waits = std::exchange(waits_, {});
  if (exchange_) {
    waits.fds[1] = exchange_->socket();
    waits.writing = exchange_->writing();
  }
  return waits;
}

MIRAKURU_DECL void Race::run() {
  const auto waits = take_waits();
  if (reactor_ && reactor_->attempting()) return reactor_->run(waits);
  const short second = waits.writing ? POLLOUT : POLLIN;
  pollfd events[] = {{.fd = waits.fds[0], .events = POLLIN, .revents = 0},
                     {.fd = waits.fds[1], .events = second, .revents = 0}};
  const auto left = std::max(waits.until - Clock::now(), Clock::duration::zero());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
  const timespec limit{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
  ::ppoll(events, 2, waits.until == Clock::time_point::max() ? nullptr : &limit, nullptr);
  news_ = events[0].revents != 0;
}

MIRAKURU_DECL std::optional<Readiness> Race::enter(std::unique_ptr<Exchange> exchange) {
  auto answer = exchange->step();
  if (!answer) exchange_ = std::move(exchange);
  return answer;
}

MIRAKURU_DECL void Race::go_on() {
  if (!exchange_) return;
  forget();  // it may close its socket, and open another one of that number
  readiness_ = exchange_->step();
  if (readiness_) exchange_.reset();
}

MIRAKURU_DECL void Race::call_off() {
  if (exchange_) forget();
  exchange_.reset();
  if (reactor_) reactor_->call_off();
}

MIRAKURU_DECL std::optional<Readiness> Race::take_readiness() {
  if (readiness_ || !reactor_) return std::exchange(readiness_, std::nullopt);
  return reactor_->take_readiness();
}

}  // namespace mirakuru::detail
