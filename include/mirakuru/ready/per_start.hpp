// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <utility>

namespace mirakuru::detail {

/// The data that the prepare() of a check makes for one start. It moves with the check; a copy of
/// the check has none.
template <class T>
class PerStart {
 public:
  PerStart() = default;
  PerStart(const PerStart&) noexcept {}
  PerStart(PerStart&&) noexcept = default;
  PerStart& operator=(PerStart other) noexcept {
    value_ = std::move(other.value_);
    return *this;
  }
  ~PerStart() = default;

  /// Replaces the data of the last start.
  template <class... Arguments>
  T& emplace(Arguments&&... arguments) const {
    value_ = std::make_unique<T>(std::forward<Arguments>(arguments)...);
    return *value_;
  }
  /// Null if no start has made it.
  [[nodiscard]] T* get() const noexcept { return value_.get(); }

 private:
  mutable std::unique_ptr<T> value_;  // a start changes no check
};

}  // namespace mirakuru::detail
