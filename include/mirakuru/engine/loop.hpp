// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/net/listeners.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/process.hpp>

namespace mirakuru::detail {

/// Whether an attempt ends by itself within a while, and is tried anew if it does not, or waits for
/// as long as it takes.
enum class Attempt { limited, open_ended };

/// What it comes to when an attempt is to be entered: it is answered already, or in flight.
struct Entry {
  std::optional<Readiness> answer = {};
  Attempt attempt = Attempt::limited;
};

/// An attempt over a socket: does what can be done without a wait, and says what to wait for then.
class Exchange {
 public:
  virtual ~Exchange() = default;

  /// Goes on as far as it can. The answer ends it.
  [[nodiscard]] virtual std::optional<Readiness> step() = 0;
  /// What it waits for: that its socket turns writable, or readable.
  [[nodiscard]] virtual int socket() const noexcept = 0;
  [[nodiscard]] virtual bool writing() const noexcept = 0;
};

/// The attempts of one check on its TCP port.
struct Probing {
  const void* check = nullptr;
  std::size_t attempts = 0;
  bool refused = false;  // the last one, at once and at each address
};

/// What a race waits for: that the process's descriptor or a check's turns readable (or the latter
/// writable), or a moment. -1 is no descriptor.
struct Waits {
  std::array<int, 2> fds = {-1, -1};
  bool writing = false;
  Clock::time_point until = Clock::time_point::max();
};

/// What runs the attempts that are coroutines; engine/asio_loop.hpp has the one there is.
class Reactor {
 public:
  virtual ~Reactor() = default;

  [[nodiscard]] virtual bool attempting() const noexcept = 0;
  virtual void call_off() = 0;
  [[nodiscard]] virtual std::optional<Readiness> take_readiness() = 0;
  /// Waits in the calling thread.
  virtual void run(const Waits& waits) = 0;
  /// Lets go of the descriptors, which may be closed.
  virtual void let_go() noexcept = 0;
};

/// Waits for whichever comes first: the outcome of an attempt of a check, a descriptor, a moment.
/// Who runs it, a state machine such as `Starting`, then looks at what has changed and decides how
/// to go on; an attempt in flight stays so until it is called off.
///
/// Rests on `ppoll`, unless the attempt is a coroutine.
class Race {
 public:
  Race() = default;
  /// For the Asio forms, which wait by the reactor alone.
  explicit Race(std::unique_ptr<Reactor> reactor) : reactor_{std::move(reactor)} {}
  ~Race();
  Race(const Race&) = delete;
  Race& operator=(const Race&) = delete;

  /// The process's descriptor and a check's, not owned. Hold for one run, as `until` does.
  void watch(int process, int check = -1) noexcept { waits_.fds = {process, check}; }
  /// The moment to wake at the latest.
  void until(Clock::time_point moment) noexcept { waits_.until = moment; }
  /// Waits, in the calling thread.
  void run();
  /// What there is to wait for, for who waits by other means.
  [[nodiscard]] Waits take_waits();

  /// False when it is known that the process's descriptor was not what ended the last run.
  [[nodiscard]] bool process_has_news() const noexcept { return news_; }

  /// Enters an attempt; one may be in flight at a time. Its answer, if it has it at once.
  std::optional<Readiness> enter(std::unique_ptr<Exchange> exchange);
  /// Where attempts that are coroutines are entered; made by `make()` when there is none yet.
  template <class Make>
  [[nodiscard]] Reactor& reactor(Make make) {
    if (!reactor_) reactor_ = make();
    return *reactor_;
  }
  /// Lets the attempt in flight go on after a run.
  void go_on();
  /// True from the moment an attempt is entered until it has ended.
  [[nodiscard]] bool attempting() const noexcept {
    return exchange_ || (reactor_ && reactor_->attempting());
  }
  /// Of a check that there have been no attempts of yet; nullptr is another one each time.
  [[nodiscard]] Probing& probing(const void* check) noexcept {
    if (check == nullptr || check != probing_.check) probing_ = {.check = check};
    return probing_;
  }
  /// What they may ask in place of a connection.
  [[nodiscard]] Listeners& listeners() noexcept { return listeners_; }
  /// Asks the attempt in flight to end, which may take another run. It then has no outcome.
  void call_off();
  /// What the last attempt came to, once. Rethrows what it threw.
  [[nodiscard]] std::optional<Readiness> take_readiness();

  /// Lets go of the descriptors watched, which are about to be closed.
  void forget() noexcept {
    if (reactor_) reactor_->let_go();
  }

 private:
  std::unique_ptr<Reactor> reactor_;
  std::unique_ptr<Exchange> exchange_;
  std::optional<Readiness> readiness_;  // of the exchange
  Waits waits_;
  Probing probing_;
  Listeners listeners_;
  bool news_ = true;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/engine/loop.ipp>
#endif
