// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>
#include <type_traits>

#include <mirakuru/process.hpp>
#include <mirakuru/ready/probe.hpp>

namespace mirakuru::detail {

/// The members of a check's type; null for one that it does not have.
struct CheckCalls {
  std::unique_ptr<Probe> (*probe)(void* check, const Process& process) = nullptr;
  std::unique_ptr<Probe> (*precheck)(void* check) = nullptr;
  bool (*already_true)(void* check) = nullptr;
  std::string (*describe)(void* check) = nullptr;
  std::string (*describe_conflict)(void* check) = nullptr;
  std::string (*hint)(void* check, const Process& process) = nullptr;
};

template <class Check>
consteval CheckCalls calls_of_check() {
  CheckCalls calls{.probe = [](void* check, const Process& process) -> std::unique_ptr<Probe> {
    return make_probe(*static_cast<Check*>(check), process);
  }};
  if constexpr (requires(Check& check) { check.precheck(); })
    calls.precheck = [](void* check) -> std::unique_ptr<Probe> {
      return static_cast<Check*>(check)->precheck();
    };
  else if constexpr (requires(Check& check) { static_cast<bool>(check.already_true()); })
    calls.already_true = [](void* check) {
      return static_cast<bool>(static_cast<Check*>(check)->already_true());
    };
  if constexpr (requires(Check& check) { check.describe(); })
    calls.describe = [](void* check) -> std::string {
      return static_cast<Check*>(check)->describe();
    };
  if constexpr (requires(Check& check) { check.describe_conflict(); })
    calls.describe_conflict = [](void* check) -> std::string {
      return static_cast<Check*>(check)->describe_conflict();
    };
  if constexpr (requires(Check& check, const Process& process) { check.hint(process); })
    calls.hint = [](void* check, const Process& process) -> std::string {
      return static_cast<Check*>(check)->hint(process);
    };
  return calls;
}

/// A reference to a check, for a start that does not know its type; or to none.
class CheckRef {
 public:
  CheckRef() = default;
  template <class Check>
    requires(!std::is_same_v<std::remove_const_t<Check>, CheckRef>)
  explicit CheckRef(Check& check) noexcept
      : check_{&check}, calls_{&calls_of<Check>}, reads_output_{ReadsOutput<Check>} {}

  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const {
    return calls_->probe(check_, process);
  }
  /// The probe that is asked before the start; null for none.
  [[nodiscard]] std::unique_ptr<Probe> precheck() const {
    return calls_->precheck != nullptr ? calls_->precheck(check_) : nullptr;
  }
  /// True if it tells without a probe that it holds before the start.
  [[nodiscard]] bool already_true() const {
    return calls_->already_true != nullptr && calls_->already_true(check_);
  }
  /// Its name in messages; empty for a predicate.
  [[nodiscard]] std::string describe() const {
    return calls_ != nullptr && calls_->describe != nullptr ? calls_->describe(check_) : "";
  }
  /// The reason why it holds before the start; empty if it has no text for that.
  [[nodiscard]] std::string describe_conflict() const {
    return calls_->describe_conflict != nullptr ? calls_->describe_conflict(check_) : "";
  }
  [[nodiscard]] std::string hint(const Process& process) const {
    return calls_ != nullptr && calls_->hint != nullptr ? calls_->hint(check_, process) : "";
  }
  [[nodiscard]] bool reads_output() const noexcept { return reads_output_; }

 private:
  template <class Check>
  static constexpr CheckCalls calls_of = calls_of_check<Check>();

  void* check_ = nullptr;
  const CheckCalls* calls_ = nullptr;
  bool reads_output_ = false;
};

/// A reference to a watcher, for a start that does not know its type.
class WatcherRef {
 public:
  WatcherRef() = default;
  template <class Watcher>
  explicit WatcherRef(const Watcher& watcher) noexcept
      : watcher_{&watcher}, calls_{&calls_of<Watcher>} {}

  [[nodiscard]] std::unique_ptr<Probe> watch(const Process& process) const {
    return calls_->watch(watcher_, process);
  }
  [[nodiscard]] std::string describe() const { return calls_->describe(watcher_); }
  [[nodiscard]] std::string quote(const Process& process) const {
    return calls_->quote(watcher_, process);
  }

 private:
  struct Calls {
    std::unique_ptr<Probe> (*watch)(const void* watcher, const Process& process);
    std::string (*describe)(const void* watcher);
    std::string (*quote)(const void* watcher, const Process& process);
  };
  template <class Watcher>
  static constexpr Calls calls_of{
      .watch =
          [](const void* watcher, const Process& process) {
            return static_cast<const Watcher*>(watcher)->watch(process);
          },
      .describe = [](const void* watcher) -> std::string {
        return static_cast<const Watcher*>(watcher)->describe();
      },
      .quote = [](const void* watcher, const Process& process) -> std::string {
        return static_cast<const Watcher*>(watcher)->quote(process);
      }};

  const void* watcher_ = nullptr;
  const Calls* calls_ = nullptr;
};

}  // namespace mirakuru::detail
