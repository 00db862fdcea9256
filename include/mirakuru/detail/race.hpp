// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <variant>

#include <mirakuru/detail/config.hpp>
#include <mirakuru/detail/schedule.hpp>
#include <mirakuru/process.hpp>

namespace mirakuru::detail {

/// Whether an attempt ends by itself within a while, and is tried anew if it does not, or waits for
/// as long as it takes.
enum class Attempt { limited, open_ended };

/// What it comes to when an attempt is to be entered: it is in flight, or answered already.
using Entry = std::variant<Attempt, Readiness>;

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

/// Waits for whichever comes first: the outcome of an attempt of a check, a descriptor that turns
/// readable, a moment. Who runs it, a state machine such as `Starting`, then looks at what has
/// changed and decides how to go on; an attempt in flight stays so until it is called off.
///
/// Rests on Asio, which this header does not include: detail/race_core.hpp has that side.
class Race {
 public:
  struct Core;

  /// On an I/O context of its own, made when first needed.
  Race();
  /// On the executor that `core` has; for the Asio forms.
  explicit Race(std::unique_ptr<Core> core);
  ~Race();
  Race(const Race&) = delete;
  Race& operator=(const Race&) = delete;

  /// The process's descriptor and a check's, not owned; -1 for none. Hold for one run, as `until`
  /// does.
  void watch(int process, int check = -1) noexcept { fds_ = {process, check}; }
  /// The moment to wake at the latest.
  void until(Clock::time_point moment) noexcept { until_ = moment; }
  /// Waits, in the calling thread. Without an attempt in flight that takes no I/O context.
  void run();
  /// Begins to wait, for `run()` and the Asio forms.
  void arm();

  /// False when it is known that the process's descriptor was not what ended the last run.
  [[nodiscard]] bool process_has_news() const noexcept { return news_; }

  /// Enters an attempt; one may be in flight at a time. Its answer, if it has it at once.
  std::optional<Readiness> enter(std::unique_ptr<Exchange> exchange);
  /// Lets the attempt in flight go on after a run.
  void go_on();
  /// True from the moment an attempt is entered until it has ended.
  [[nodiscard]] bool attempting() const noexcept;
  /// How many have been counted before.
  [[nodiscard]] std::size_t count_attempt() noexcept { return attempts_++; }
  /// Asks the attempt in flight to end, which may take another run. It then has no outcome.
  void call_off();
  /// What the last attempt came to, once. Rethrows what it threw.
  [[nodiscard]] std::optional<Readiness> take_readiness();

  /// Lets go of the descriptors watched, which are about to be closed.
  void forget() noexcept;

  /// Asio's side of it, made if need be.
  Core& core();

 private:
  using Fds = std::array<int, 2>;
  static constexpr Fds none = {-1, -1};

  void poll();
  [[nodiscard]] Fds take_fds();
  [[nodiscard]] bool writing() const noexcept { return exchange_ && exchange_->writing(); }

  std::unique_ptr<Core> core_;
  std::unique_ptr<Exchange> exchange_;
  std::optional<Readiness> readiness_;  // of the exchange
  Fds fds_ = none;
  std::size_t attempts_ = 0;
  bool news_ = true;
  Clock::time_point until_ = Clock::time_point::max();
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/detail/race_core.hpp>
#endif
