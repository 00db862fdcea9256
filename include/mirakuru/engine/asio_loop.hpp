// SPDX-License-Identifier: BSL-1.0
#pragma once

// Before 1.24 Asio does not see that Clang has coroutines. Only these three of its headers depend
// on the macro. If they came first, they were empty, and come again.
#if defined(__clang__) && !defined(ASIO_HAS_CO_AWAIT) && !defined(ASIO_DISABLE_CO_AWAIT)
#define ASIO_HAS_CO_AWAIT 1
#undef ASIO_AWAITABLE_HPP
#undef ASIO_CO_SPAWN_HPP
#undef ASIO_USE_AWAITABLE_HPP
#endif

#include <fcntl.h>
#include <exception>
#include <optional>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/os/wait_set.hpp>
#include <mirakuru/ready/probe.hpp>

#if !defined(ASIO_HAS_CO_AWAIT)
#error "mirakuru: Asio has no coroutines with this compiler"
#endif

namespace mirakuru::detail {

/// The wait loop on Asio, in which coroutines run meanwhile. All happens on one executor, one
/// handler at a time.
class AsioLoop {
 public:
  /// On an I/O context of its own, for the blocking forms.
  AsioLoop() : AsioLoop{std::make_unique<asio::io_context>(1)} {}
  explicit AsioLoop(const asio::any_io_executor& on)
      : executor_{on}, timer_{on}, over_{on, TimePoint::max()} {}
  AsioLoop(const AsioLoop&) = delete;
  AsioLoop& operator=(const AsioLoop&) = delete;

  [[nodiscard]] const asio::any_io_executor& executor() const noexcept { return executor_; }

  /// Waits in the calling thread.
  void wait(WaitSet& waits) {
    if (waits.wants_no_wait()) return;
    begin(waits);
    own_->restart();
    while (!is_over() && own_->run_one() > 0) {
    }
  }

  /// Begins a wait; `waits` stays where it is until it is over. Each descriptor is duplicated for
  /// the wait, so that its owner may close it at any time.
  void begin(WaitSet& waits) {
    using Descriptor = asio::posix::stream_descriptor;
    woken_ = false;
    descriptors_.clear();
    descriptors_.reserve(waits.size());
    for (auto& event : waits.descriptors()) {
      if (event.fd < 0) continue;
      UniqueFd copy{::fcntl(event.fd, F_DUPFD_CLOEXEC, 3)};
      Descriptor descriptor{executor_};
      asio::error_code failed;
      if (copy) descriptor.assign(copy.get(), failed);
      if (!copy || failed) {  // the system has no more: look at this one once in a while
        event.revents = event.events;
        waits.until(Clock::now() + pause_after({}));
        continue;
      }
      (void)copy.release();
      ++waiting_;
      descriptors_.push_back(std::move(descriptor));
      descriptors_.back().async_wait(
          event.events == POLLOUT ? Descriptor::wait_write : Descriptor::wait_read,
          [this, &event](asio::error_code error) {
            if (error != asio::error::operation_aborted) event.revents = event.events;
            end_one();
          });
    }
    if (waits.deadline() != TimePoint::max()) {
      ++waiting_;
      timer_.expires_at(waits.deadline());
      timer_.async_wait([this](asio::error_code) { end_one(); });
    }
  }

  /// Ends the wait: something has happened.
  void wake() {
    if (!std::exchange(woken_, true)) {
      timer_.cancel();
      for (auto& descriptor : descriptors_) descriptor.cancel();
    }
    if (is_over()) over_.cancel();
  }

  /// True when the wait has ended and no handler of it is left.
  [[nodiscard]] bool is_over() const noexcept { return woken_ && waiting_ == 0; }

  /// Returns when the wait may be over; for coroutines on the loop's executor.
  template <class Token>
  auto async_over(Token&& token) {
    return over_.async_wait(std::forward<Token>(token));
  }

 private:
  explicit AsioLoop(std::unique_ptr<asio::io_context> context) : AsioLoop{context->get_executor()} {
    own_ = std::move(context);
  }

  void end_one() {
    --waiting_;
    wake();
  }

  std::unique_ptr<asio::io_context> own_;  // of the blocking forms
  asio::any_io_executor executor_;
  asio::steady_timer timer_;
  std::vector<asio::posix::stream_descriptor> descriptors_;
  asio::steady_timer over_;  // never expires; wake() cancels it
  int waiting_ = 0;          // handlers of this wait that are still to come
  bool woken_ = false;
};

template <class T>
asio::awaitable<Readiness> as_readiness(asio::awaitable<T> answer) {
  co_return co_await std::move(answer);
}
inline asio::awaitable<Readiness> as_readiness(asio::awaitable<void> event) {
  co_await std::move(event);
  co_return true;
}

/// The probe of a check that is an awaitable: runs it on the loop, and waits as long as it takes.
template <class Check>
class CoroutineProbe final : public Probe {
 public:
  CoroutineProbe(Check& check, const Process& process)
      : check_{check}, process_{process}, loop_{*process.context().loop} {}
  /// An arm of a composed check, or a watcher, may go while its attempt is under way: that is
  /// cancelled, and wakes nobody.
  ~CoroutineProbe() override {
    if (!attempt_ || !attempt_->running) return;
    attempt_->loop = nullptr;
    cancel();
  }
  CoroutineProbe(const CoroutineProbe&) = delete;
  CoroutineProbe& operator=(const CoroutineProbe&) = delete;

  Readiness poll(TimePoint now) override {
    if (attempt_ && attempt_->running) {
      if (now >= until_) cancel();
      return {};
    }
    const bool continues = attempt_ != nullptr;
    auto answer = continues ? take_answer() : Readiness{};
    // A pause follows an answer. A check whose process has ended is asked once more, and at once.
    const bool begins =
        closed_ ? ValidAfterExit<Check> && !process_.running() && !std::exchange(asked_again_, true)
                : !continues;
    if (!answer && begins) begin();
    return answer;
  }
  void wait(TimePoint now, WaitSet& waits) const override {
    waits.until(attempt_ ? until_ : after(now, pause_after(process_.waited(now), 45)));
  }
  [[nodiscard]] bool pending() const noexcept override { return attempt_ != nullptr; }
  void close(TimePoint until) override {
    closed_ = true;
    until_ = until;
    cancel();
  }

 private:
  struct Attempt {
    AsioLoop* loop;  // null when the probe has gone
    asio::cancellation_signal cancellation = {};
    std::optional<Readiness> answer = {};
    std::exception_ptr error = {};
    bool running = true;
    bool cancelled = false;
  };

  Readiness take_answer() {
    const auto attempt = std::exchange(attempt_, nullptr);
    // A cancelled attempt is ready too late, but may still say why it was not.
    if (attempt->cancelled)
      return attempt->answer && !*attempt->answer ? *attempt->answer : Readiness{};
    if (attempt->error) std::rethrow_exception(attempt->error);
    return *attempt->answer;
  }

  void begin() {
    auto coroutine = as_readiness(check_(process_));  // may throw: then there is no attempt
    attempt_ = std::make_shared<Attempt>(&loop_);
    asio::co_spawn(loop_.executor(), std::move(coroutine),
                   asio::bind_cancellation_slot(
                       attempt_->cancellation.slot(),
                       [attempt = attempt_](std::exception_ptr error, Readiness answer) {
                         attempt->running = false;
                         attempt->error = error;
                         if (!error) attempt->answer = std::move(answer);
                         if (attempt->loop != nullptr) attempt->loop->wake();
                       }));
  }

  void cancel() {
    if (!attempt_ || !attempt_->running || std::exchange(attempt_->cancelled, true)) return;
    until_ = TimePoint::max();  // from here on it takes as long as it takes
    attempt_->cancellation.emit(asio::cancellation_type::terminal);
  }

  Check& check_;
  const Process& process_;
  AsioLoop& loop_;
  std::shared_ptr<Attempt> attempt_;
  bool closed_ = false, asked_again_ = false;
  TimePoint until_ = TimePoint::max();
};

/// Found by argument-dependent lookup in `make_probe()`.
template <class Check>
  requires requires(Check& check, const Process& process) { as_readiness(check(process)); }
std::unique_ptr<Probe> coroutine_probe(AsyncTag, Check& check, const Process& process) {
  return std::make_unique<CoroutineProbe<Check>>(check, process);
}

}  // namespace mirakuru::detail
