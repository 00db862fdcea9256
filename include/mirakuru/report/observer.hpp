// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <atomic>
#include <string>
#include <utility>

namespace mirakuru::detail {

class Observed;

/// The state of a service. `stopped`: also if the user knows of its end. `headless`: its leader has
/// ended well, and others of its tree live.
enum class Fate { stopped, running, headless, ended, ended_badly };

/// Hears of all executors of this process. The headers of the test frameworks have one. Each call
/// comes in the thread of the executor.
struct Observer {
  /// A command is about to be spawned; its streams are open. `look` asks for its fate.
  virtual void starting(Observed& service, Fate (*look)(Observed&)) noexcept = 0;
  virtual void started(Observed& service, pid_t leader) noexcept = 0;
  /// The executor has another address now.
  virtual void moved(Observed& from, Observed& to) noexcept = 0;
  /// No process is left. The output is still there.
  virtual void cleared(Observed& service) noexcept = 0;
  virtual void destroyed(Observed& service) noexcept = 0;
  /// A bad end that nobody has heard of; `message` is the text of its error. Returns true if the
  /// user is going to hear of it.
  virtual bool ended_badly(Observed& service, const std::string& message) noexcept = 0;
  /// A line of the default reporter. Returns true if it has been printed.
  virtual bool print(const std::string& line) noexcept = 0;

 protected:
  ~Observer() = default;
};

/// There is none unless a header of a test framework is included.
inline std::atomic<Observer*> observer = nullptr;

/// The base of an executor's data that an observer may know.
class Observed {
 public:
  Observed() = default;
  Observed(Observed&& other) noexcept : observer_{std::exchange(other.observer_, nullptr)} {
    if (observer_ != nullptr) observer_->moved(other, *this);
  }
  ~Observed() {
    if (observer_ != nullptr) observer_->destroyed(*this);
  }

 protected:
  /// The observer from the last start on; null for none.
  [[nodiscard]] Observer* observer() const noexcept { return observer_; }
  void be_observed(Fate (*look)(Observed&)) noexcept {
    observer_ = detail::observer.load(std::memory_order_acquire);
    if (observer_ != nullptr) observer_->starting(*this, look);
  }

 private:
  Observer* observer_ = nullptr;
};

}  // namespace mirakuru::detail
