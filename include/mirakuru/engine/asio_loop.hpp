// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include <mirakuru/engine/asio.hpp>
#include <mirakuru/engine/loop.hpp>

namespace mirakuru::detail {

/// Asio's side of a race. Everything here happens on one executor, one handler at a time.
class RaceCore final : public Reactor {
 public:
  /// On an I/O context of its own, for the blocking forms.
  RaceCore() : RaceCore{std::make_unique<asio::io_context>(1)} {}
  explicit RaceCore(const asio::any_io_executor& on)
      : executor{on},
        timer{on},
        descriptors{asio::posix::stream_descriptor{on}, asio::posix::stream_descriptor{on}},
        settling{on, Clock::time_point::max()} {}
  ~RaceCore() override { let_go(); }
  RaceCore(const RaceCore&) = delete;
  RaceCore& operator=(const RaceCore&) = delete;

  /// That of a race, made if need be.
  static RaceCore& of(Race& race) {
    return static_cast<RaceCore&>(race.reactor([] { return std::make_unique<RaceCore>(); }));
  }

  /// Enters an attempt; one may be in flight at a time.
  void enter(asio::awaitable<Readiness> attempt) {
    in_flight = true;
    called_off = false;
    asio::co_spawn(executor, std::move(attempt),
                   asio::bind_cancellation_slot(
                       cancellation.slot(), [this](std::exception_ptr thrown, Readiness answer) {
                         in_flight = false;
                         if (thrown && !called_off) error = thrown;
                         // It holds too late, but may still say why it did not.
                         if (!thrown && !(called_off && answer)) readiness = std::move(answer);
                         wake();
                       }));
  }

  [[nodiscard]] bool attempting() const noexcept override { return in_flight; }

  void call_off() override {
    if (in_flight && !std::exchange(called_off, true))
      cancellation.emit(asio::cancellation_type::terminal);
  }

  [[nodiscard]] std::optional<Readiness> take_readiness() override {
    if (auto thrown = std::exchange(error, nullptr)) std::rethrow_exception(thrown);
    return std::exchange(readiness, std::nullopt);
  }

  void run(const Waits& waits) override {
    arm(waits);
    own->restart();
    while (!settled() && own->run_one() > 0) {
    }
  }

  /// Begins to wait.
  void arm(const Waits& waits) {
    woken = false;
    for (std::size_t i = 0; i < waits.fds.size(); ++i) {
      auto& descriptor = descriptors[i];
      if (waits.fds[i] != descriptor.native_handle()) {
        if (descriptor.is_open()) descriptor.release();
        if (waits.fds[i] >= 0) descriptor.assign(waits.fds[i]);
      }
      if (waits.fds[i] < 0) continue;
      ++pending;
      descriptor.async_wait(i == 1 && waits.writing ? asio::posix::descriptor_base::wait_write
                                                    : asio::posix::descriptor_base::wait_read,
                            [this](asio::error_code) { end_wait(); });
    }
    if (waits.until != Clock::time_point::max()) {
      ++pending;
      timer.expires_at(waits.until);
      timer.async_wait([this](asio::error_code) { end_wait(); });
    }
  }

  void end_wait() {
    --pending;
    wake();
  }

  /// Something has happened: the waits that are left are ended, and then the run is.
  void wake() {
    if (!std::exchange(woken, true)) {
      timer.cancel();
      for (auto& descriptor : descriptors)
        if (descriptor.is_open()) descriptor.cancel();
    }
    if (settled()) settling.cancel();
  }

  [[nodiscard]] bool settled() const noexcept { return woken && pending == 0; }

  /// The descriptors belong to the process and the check.
  void let_go() noexcept override {
    for (auto& descriptor : descriptors)
      if (descriptor.is_open()) descriptor.release();
  }

  std::unique_ptr<asio::io_context> own;  // of the blocking form
  asio::any_io_executor executor;
  asio::steady_timer timer;
  std::array<asio::posix::stream_descriptor, 2> descriptors;
  asio::steady_timer settling;  // never expires: the Asio forms wait on it, and wake() cancels it
  asio::cancellation_signal cancellation;

  int pending = 0;  // waits of the timer and the descriptor that have not ended
  bool woken = false;
  bool in_flight = false;
  bool called_off = false;
  std::optional<Readiness> readiness;
  std::exception_ptr error;

 private:
  explicit RaceCore(std::unique_ptr<asio::io_context> context) : RaceCore{context->get_executor()} {
    own = std::move(context);
  }
};

}  // namespace mirakuru::detail
