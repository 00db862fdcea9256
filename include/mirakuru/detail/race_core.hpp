// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <exception>
#include <utility>

#include <mirakuru/detail/asio.hpp>
#include <mirakuru/detail/race.hpp>

namespace mirakuru::detail {

/// Asio's side of a race. Everything here happens on one executor, one handler at a time.
struct Race::Core {
  Core() : Core{std::make_unique<asio::io_context>(1)} {}
  explicit Core(const asio::any_io_executor& on)
      : executor{on},
        timer{on},
        descriptors{asio::posix::stream_descriptor{on}, asio::posix::stream_descriptor{on}},
        settling{on, Clock::time_point::max()} {}
  ~Core() { let_go(); }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  /// Enters an attempt; one may be in flight at a time.
  void enter(asio::awaitable<Readiness> attempt) {
    attempting = true;
    called_off = false;
    asio::co_spawn(executor, std::move(attempt),
                   asio::bind_cancellation_slot(
                       cancellation.slot(), [this](std::exception_ptr thrown, Readiness answer) {
                         attempting = false;
                         if (!thrown)
                           readiness = std::move(answer);
                         else if (!called_off)
                           error = thrown;
                         wake();
                       }));
  }

  void call_off() {
    if (attempting && !std::exchange(called_off, true))
      cancellation.emit(asio::cancellation_type::terminal);
  }

  /// The second descriptor may be waited for to turn writable.
  void arm(const Fds& fds, bool writing, Clock::time_point until) {
    woken = false;
    for (std::size_t i = 0; i < fds.size(); ++i) {
      auto& descriptor = descriptors[i];
      if (fds[i] != descriptor.native_handle()) {
        if (descriptor.is_open()) descriptor.release();
        if (fds[i] >= 0) descriptor.assign(fds[i]);
      }
      if (fds[i] < 0) continue;
      ++pending;
      descriptor.async_wait(i == 1 && writing ? asio::posix::descriptor_base::wait_write
                                              : asio::posix::descriptor_base::wait_read,
                            [this](asio::error_code) { end_wait(); });
    }
    if (until != Clock::time_point::max()) {
      ++pending;
      timer.expires_at(until);
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
  void let_go() {
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
  bool attempting = false;
  bool called_off = false;
  std::optional<Readiness> readiness;
  std::exception_ptr error;

 private:
  explicit Core(std::unique_ptr<asio::io_context> context) : Core{context->get_executor()} {
    own = std::move(context);
  }
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/impl/race.ipp>
#endif
