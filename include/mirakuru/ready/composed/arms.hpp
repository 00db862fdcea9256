// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/hana/basic_tuple.hpp>
#include <boost/hana/for_each.hpp>

#include <mirakuru/concepts.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/ready/probe.hpp>

// The parts of checks that are made of checks, which are their arms.

namespace mirakuru::detail {

namespace hana = boost::hana;

/// A check that can tell before the start whether it is true already.
template <class Check>
concept AskedBefore = requires(Check& check) { check.precheck(); } ||
                      requires(Check& check) { static_cast<bool>(check.already_true()); };

/// Asks `already_true()` of a check.
template <class Check>
class AlreadyTrueProbe final : public Probe {
 public:
  explicit AlreadyTrueProbe(Check& check) : check_{check} {}
  Readiness poll(TimePoint) override { return static_cast<bool>(check_.already_true()); }
  void wait(TimePoint, WaitSet&) const override {}

 private:
  Check& check_;
};

/// The probe that asks a check before the start; null for a check that cannot tell.
template <class Check>
[[nodiscard]] std::unique_ptr<Probe> make_precheck(Check& check) {
  if constexpr (requires { check.precheck(); })
    return check.precheck();
  else if constexpr (AskedBefore<Check>)
    return std::make_unique<AlreadyTrueProbe<Check>>(check);
  else
    return nullptr;
}

/// Says why a check is true before the start.
template <class Check>
[[nodiscard]] std::string conflict_of(Check& check) {
  if constexpr (requires { check.describe_conflict(); })
    return check.describe_conflict();
  else
    return name_of(check) + " holds before the start";
}

/// One of the probes of a composed one.
struct Arm {
  ProbeRun run = {};
  std::string name = {};
  std::string reason = {};  // the last answer
  bool valid_after_exit = false;
  bool passed = false, out = false;                    // it is ready; it can no longer become so
  std::optional<std::chrono::nanoseconds> limit = {};  // it is out by its own deadline
  bool looked = false;                                 // since close()
  CheckTimes times = {};

  void poll(TimePoint now) {
    if (times.attempts == 0) times.first_tried = now;
    if (times.attempts == 0 || !run.pending()) ++times.attempts;
    looked = true;
    try {
      const auto answer = run.poll(now);
      passed = static_cast<bool>(answer);
      if (passed) times.passed = now, times.note = answer.reason();
      if (!answer.reason().empty()) reason = answer.reason();
    } catch (const DeadlinePassed& error) {
      limit = error.limit();
      is_out(error);
    } catch (const CannotHold& error) {
      is_out(error);
    }
  }
  [[nodiscard]] bool decided() const noexcept { return passed || out; }

 private:
  void is_out(const CannotHold& error) {
    out = true;
    if (*error.what() != '\0') reason = error.what();
  }
};

/// Looks at all arms at once. A derived class says when all of it is ready.
template <std::size_t count>
class ArmsProbe : public Probe {
 public:
  void wait(TimePoint now, WaitSet& waits) const override {
    for (auto& arm : arms_)
      if (!arm.decided()) arm.run.wait(now, waits);
  }
  [[nodiscard]] bool pending() const noexcept override {
    for (const auto& arm : arms_)
      if (!arm.decided() && arm.run.pending()) return true;
    return false;
  }
  void close(TimePoint until) override {
    closed_ = true;
    for (auto& arm : arms_) {
      arm.looked = false;
      if (!arm.decided()) arm.run.close(until);
    }
  }
  [[nodiscard]] std::vector<CheckTimes> arms() const override {
    std::vector<CheckTimes> times;
    for (const auto& arm : arms_) {
      times.push_back(arm.times);
      times.back().arms = arm.run.arms();
    }
    return times;
  }

 protected:
  template <class Checks>
  ArmsProbe(Checks& checks, const Process& process) : process_{&process} {
    std::size_t i = 0;
    hana::for_each(checks, [&]<class Check>(Check& check) {
      Arm& arm = arms_[i++];
      arm.name = name_of(check);
      arm.valid_after_exit = ValidAfterExit<Check>;
      arm.run.begin(make_probe(check, process));
    });
  }

  /// Polls each arm that is due.
  void poll_arms(TimePoint now) {
    for (auto& arm : arms_) {
      if (arm.decided()) continue;
      if (!process_->running() && !arm.valid_after_exit)
        arm.out = true;
      else if (closed_ ? !arm.looked || arm.run.pending() : arm.run.due(now))
        arm.poll(now);
    }
  }
  /// "a line with 'ready'; a connection to localhost:80: connection refused".
  [[nodiscard]] std::string reasons() const {
    std::string text;
    for (const auto& arm : arms_) {
      if (arm.passed) continue;
      text += (text.empty() ? "" : "; ") + arm.name + (arm.reason.empty() ? "" : ": " + arm.reason);
    }
    return text;
  }

  /// Fails for the arms that are out. It is a deadline if all of them had one; the longest counts.
  [[noreturn]] void throw_out() const {
    std::chrono::nanoseconds longest{};
    bool late = true;
    for (const auto& arm : arms_) {
      if (!arm.out) continue;
      late &= arm.limit.has_value();
      longest = std::max(longest, arm.limit.value_or(longest));
    }
    if (late) throw DeadlinePassed{reasons(), longest};
    throw CannotHold{reasons()};
  }

  mutable std::array<Arm, count> arms_;
  const Process* process_;

 private:
  bool closed_ = false;
};

/// Asks the arms before the start, all at once. Ready if one of them is true already.
template <std::size_t count>
class ArmsPrecheck final : public Probe {
 public:
  /// `conflict` gets the reason of the arm that holds.
  template <class Checks>
  ArmsPrecheck(Checks& checks, std::string& conflict) : conflict_{conflict} {
    std::size_t i = 0;
    hana::for_each(checks, [&](auto& check) {
      Arm& arm = arms_[i];
      describe_[i++] = [](void* any) {
        return conflict_of(*static_cast<std::remove_reference_t<decltype(check)>*>(any));
      };
      arm.out = true;
      checks_[i - 1] = &check;
      if (auto probe = make_precheck(check)) {
        arm.out = false;
        arm.run.begin(std::move(probe));
      }
    });
  }
  Readiness poll(TimePoint now) override {
    for (std::size_t i = 0; i < count; ++i) {
      Arm& arm = arms_[i];
      if (arm.decided() || !arm.run.due(now)) continue;
      arm.poll(now);
      if (arm.passed) {
        conflict_ = describe_[i](checks_[i]);
        return true;
      }
      arm.out |= !arm.run.pending();
    }
    return false;
  }
  void wait(TimePoint now, WaitSet& waits) const override {
    for (auto& arm : arms_)
      if (!arm.decided()) arm.run.wait(now, waits);
  }
  [[nodiscard]] bool pending() const noexcept override {
    for (const auto& arm : arms_)
      if (!arm.decided()) return true;
    return false;
  }

 private:
  mutable std::array<Arm, count> arms_;
  std::array<void*, count> checks_ = {};
  std::array<std::string (*)(void*), count> describe_ = {};
  std::string& conflict_;
};

template <class Check>
concept Prepares = requires(const Check& check, LaunchRequest& request) { check.prepare(request); };

template <class Check>
concept Quotes = requires(const Check& check, const Process& process) { check.quote(process); };

/// The members that `AnyOf` and `AllOf` have in common.
template <class... Checks>
class Composed {
  static_assert((ReadinessCheck<Checks> && ...),
                "mirakuru: a composed check is made of readiness checks");

 public:
  static constexpr bool reads_output = (ReadsOutput<Checks> || ...);
  static constexpr bool needs_asio = (NeedsAsio<Checks> || ...);
  static constexpr bool needs_preparation = (NeedsPreparation<Checks> || ...);
  static constexpr bool looks_here = (LooksHere<Checks> || ...);

  explicit Composed(Checks... checks) : checks_{std::move(checks)...} {}

  /// Asked before the start, if one of the checks is.
  [[nodiscard]] std::unique_ptr<Probe> precheck() const
    requires(AskedBefore<Checks> || ...)
  {
    return std::make_unique<ArmsPrecheck<sizeof...(Checks)>>(checks_, conflict_);
  }
  /// Called before the spawn.
  void prepare(LaunchRequest& request) const
    requires(Prepares<Checks> || ...)
  {
    hana::for_each(checks_, [&request]<class Check>(const Check& check) {
      if constexpr (Prepares<Check>) check.prepare(request);
    });
  }
  /// The reason of the check that holds before the start.
  [[nodiscard]] std::string describe_conflict() const { return conflict_; }
  /// The first hint of a check.
  [[nodiscard]] std::string hint(const Process& process) const {
    std::string text;
    hana::for_each(checks_, [&](const auto& check) {
      if constexpr (requires { check.hint(process); })
        if (text.empty()) text = check.hint(process);
    });
    return text;
  }
  /// The first line that a check quotes.
  [[nodiscard]] std::string quote(const Process& process) const
    requires(Quotes<Checks> || ...)
  {
    std::string text;
    hana::for_each(checks_, [&]<class Check>(const Check& check) {
      if constexpr (Quotes<Check>)
        if (text.empty()) text = check.quote(process);
    });
    return text;
  }
  /// A check that is derived from one of these, as a TCP check from the URL of an HTTP check.
  template <class T>
    requires(((!std::same_as<Checks, T> && std::is_convertible_v<const Checks&, T>) || ...) &&
             ReadinessCheck<T>)
  operator T() const {
    std::optional<T> derived;
    hana::for_each(checks_, [&]<class Check>(const Check& check) {
      if constexpr (!std::same_as<Check, T> && std::is_convertible_v<const Check&, T>)
        if (!derived) derived.emplace(check);
    });
    return *std::move(derived);
  }

 protected:
  /// "any of: a, b".
  [[nodiscard]] std::string describe_as(const char* name) const {
    std::string text;
    hana::for_each(checks_, [&](const auto& check) {
      text += (text.empty() ? std::string{name} + " (" : ", ") + name_of(check);
    });
    return text + ')';
  }

  mutable hana::basic_tuple<Checks...> checks_;  // a predicate may change itself

 private:
  mutable std::string conflict_;
};

/// The members that `Within` and `StableFor` have in common: all is their one check's, but the
/// probe and the name.
template <class Check>
class Wrapped {
  static_assert(ReadinessCheck<Check>, "mirakuru: Within and StableFor take a readiness check");

 public:
  static constexpr bool reads_output = ReadsOutput<Check>;
  static constexpr bool needs_asio = NeedsAsio<Check>;
  static constexpr bool needs_preparation = NeedsPreparation<Check>;
  static constexpr bool looks_here = LooksHere<Check>;

  explicit Wrapped(Check check) : check_{std::move(check)} {}

  /// Asked before the start, if the check is.
  [[nodiscard]] std::unique_ptr<Probe> precheck() const
    requires AskedBefore<Check>
  {
    return make_precheck(check_);
  }
  /// Called before the spawn.
  void prepare(LaunchRequest& request) const
    requires Prepares<Check>
  {
    check_.prepare(request);
  }
  /// Says why the check holds before the start.
  [[nodiscard]] std::string describe_conflict() const { return conflict_of(check_); }
  /// The check's own hint.
  [[nodiscard]] std::string hint(const Process& process) const {
    if constexpr (requires { check_.hint(process); }) return check_.hint(process);
    return {};
  }
  /// The line that the check quotes.
  [[nodiscard]] std::string quote(const Process& process) const
    requires Quotes<Check>
  {
    return check_.quote(process);
  }
  /// A check that is derived from this one, as a TCP check from the URL of an HTTP check.
  template <class T>
    requires(!std::same_as<Check, T> && std::is_convertible_v<const Check&, T> && ReadinessCheck<T>)
  operator T() const {
    return check_;
  }

 protected:
  mutable Check check_;  // a predicate may change itself
};

}  // namespace mirakuru::detail
