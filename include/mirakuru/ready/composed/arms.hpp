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
  /// "a line with 'ready'; a connection to localhost:80: connection refused". Those of an arm that
  /// has arms stand in brackets.
  [[nodiscard]] std::string reasons() const {
    std::string text;
    for (const auto& arm : arms_) {
      if (arm.passed) continue;
      const bool several = arm.reason.find("; ") != arm.reason.npos;
      text += (text.empty() ? "" : "; ") + arm.name + (arm.reason.empty() ? "" : ": ") +
              (several ? "(" : "") + arm.reason + (several ? ")" : "");
    }
    return text;
  }
  /// Ready, with the notes of the arms that have passed.
  [[nodiscard]] Readiness ready() const {
    std::string notes;
    for (const auto& arm : arms_)
      if (arm.passed && !arm.times.note.empty())
        notes += (notes.empty() ? "" : "; ") + arm.name + ": " + arm.times.note;
    return notes.empty() ? Readiness{true} : ready_but(std::move(notes));
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

}  // namespace mirakuru::detail
