// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/sharing/lease.hpp>
#include <mirakuru/spawn/launch.hpp>

namespace mirakuru::detail {

/// The handle of a process that several programs share: a lease, and the spawner's own handle in
/// the program that has started it.
template <class Base>
class SharedProcess {
 public:
  /// For the starter. Until ready() the process is its own.
  SharedProcess(Base base, Lease lease) : base_{std::move(base)}, lease_{std::move(lease)} {}
  /// For one that has joined.
  explicit SharedProcess(Lease lease) : lease_{std::move(lease)}, leader_{lease_.leader()} {}

  [[nodiscard]] pid_t pid() const noexcept { return base_ ? base_->pid() : leader_; }
  [[nodiscard]] pid_t guardian() const noexcept
    requires requires(const Base& base) { base.guardian(); }
  {
    return base_ ? base_->guardian() : lease_.guardian();
  }
  [[nodiscard]] int event() const noexcept { return base_ ? base_->event() : lease_.event(); }
  [[nodiscard]] bool alive() {
    if (left_) return false;
    return base_ ? base_->alive() : lease_.alive();
  }
  [[nodiscard]] std::optional<int> exit_code() const noexcept {
    if (left_) return {};
    return base_ ? base_->exit_code() : lease_.exit_code();
  }
  void signal(int number) noexcept {
    if (!leave()) base_->signal(number);
  }
  void signal_leader(int number) noexcept {
    if (leave()) return;
    if constexpr (requires { base_->signal_leader(number); })
      base_->signal_leader(number);
    else
      base_->signal(number);
  }
  /// Others use it.
  bool pause() const noexcept { return false; }
  void resume() const noexcept {}
  [[nodiscard]] const std::vector<Straggler>& stragglers() const noexcept {
    static const std::vector<Straggler> none;
    if constexpr (requires { base_->stragglers(); })
      if (base_) return base_->stragglers();
    return none;
  }
  [[nodiscard]] std::string trouble() const {
    if constexpr (requires { base_->trouble(); })
      if (base_) return base_->trouble();
    return left_ ? "" : lease_.trouble();
  }
  [[nodiscard]] bool refused() const noexcept {
    if constexpr (requires { base_->refused(); }) return base_ && base_->refused();
    return false;
  }

  /// The starter tells the guardian that the service is ready. From now on the guardian keeps it.
  void ready(const SharedValues& values) {
    lease_.tell_ready(values);
    shared_ = true;
  }
  /// Leaves the service, which lives on while others use it. False, without an effect, for a
  /// starter before ready().
  bool leave() noexcept {
    if (base_ && !shared_) return false;
    if (std::exchange(left_, true)) return true;
    lease_.leave();
    if (base_) {
      leader_ = base_->pid();
      if constexpr (requires { base_->mark(); }) reap_later(base_->guardian(), base_->mark());
      base_.reset();
    }
    return true;
  }

 private:
  std::optional<Base> base_;
  Lease lease_;
  pid_t leader_ = 0;  // without `base_`
  bool shared_ = false, left_ = false;
};

/// The state of an executor's part in a shared service.
struct SharedRun {
  UniqueFd listener = {};    // of a starter, until the service is ready
  SharedValues values = {};  // of the service, once it is ready
};
/// The same of one that is not shared.
struct NotSharedRun {
  static inline const SharedValues values{};
};

}  // namespace mirakuru::detail
