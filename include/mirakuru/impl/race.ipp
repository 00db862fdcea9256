// SPDX-License-Identifier: BSL-1.0
#pragma once

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
  core().arm(std::exchange(fd_, -1), std::exchange(until_, Clock::time_point::max()));
}

MIRAKURU_DECL void Race::run() {
  arm();
  core_->own->restart();
  while (!core_->settled() && core_->own->run_one() > 0) {
  }
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
