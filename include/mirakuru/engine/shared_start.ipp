// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <system_error>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/engine/shared_start.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/os/printable.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL void add_facts_of_end(SharedFacts& facts, std::span<const SignalStep> steps,
                                    std::chrono::nanoseconds head_start,
                                    std::chrono::nanoseconds stop_budget,
                                    std::chrono::nanoseconds linger) {
  std::string signals;
  if (head_start != std::chrono::nanoseconds::zero()) signals = "none for " + to_text(head_start);
  for (const auto& step : steps)
    signals += (signals.empty() ? "" : ", ") + std::to_string(step.signal) +
               (step.scope == Scope::leader ? " to the leader" : "") + " for " + to_text(step.wait);
  facts.emplace_back("signal strategy", signals);
  facts.emplace_back("stop budget", to_text(stop_budget));
  facts.emplace_back("linger time", to_text(linger));
}

MIRAKURU_DECL void SharedStartBase::begin(TimePoint now, std::chrono::nanoseconds budget,
                                          std::chrono::nanoseconds limit) {
  began_at_ = now;
  limit_ = after(now, limit);
  budget_ = std::min(budget, limit);
  begin_budget(now);
}

MIRAKURU_DECL void SharedStartBase::begin_budget(TimePoint now) {
  // The starter's budget began a moment before or after, and its error tells more.
  constexpr std::chrono::seconds grace{1};
  deadline_ = after(std::min(after(now, budget_), limit_), grace);
}

MIRAKURU_DECL SharedStartBase::Step SharedStartBase::go_on(TimePoint now, WaitSet& waits,
                                                           const SharedFacts& facts) {
  waits.clear();
  if (cancelled_) std::rethrow_exception(cancelled_);
  try {
    if (!lease_ && elect(now)) return Step::starting;
    if (lease_) lease_.look();
  } catch (const std::system_error& error) {
    fail(now, called() + " cannot be found: " + error.what());
  }
  const auto state = lease_.state();
  if (state == Lease::State::failed)
    lease_.throw_failure("another program has tried to start " + called());
  if (state == Lease::State::joined) {
    if (const auto other = difference(lease_.facts(), facts); !other.empty())
      fail(now, called() + ' ' + other);
    if (lease_.alive()) return Step::joined;
  }
  // It has ended since: the other programs, and this one, elect a starter.
  if (state == Lease::State::lost || state == Lease::State::joined) lease_ = {};
  wait(now, waits);
  return Step::wait;
}

/// True if this program has to start it.
MIRAKURU_DECL bool SharedStartBase::elect(TimePoint now) {
  auto [role, socket] = place_.attempt(now);
  if (role == Rendezvous::Role::refused)
    fail(now, called() +
                  " cannot be found: another user holds all of its addresses; take another name or "
                  "scope");
  if (role == Rendezvous::Role::starter) {
    listener_ = std::move(socket);
    return true;
  }
  if (role != Rendezvous::Role::joined) return false;
  lease_ = Lease{std::move(socket)};
  // The one before may have been killed late.
  if (const auto starter = lease_.starter(); std::exchange(starter_, starter) != starter)
    begin_budget(now);
  return false;
}

MIRAKURU_DECL void SharedStartBase::wait(TimePoint now, WaitSet& waits) const {
  if (now >= deadline_) {
    const auto starter = lease_.starter();
    const auto pid = "pid " + std::to_string(starter);
    const auto other = starter == 0             ? "another program"
                       : process_lives(starter) ? pid
                                                : "the guardian of " + pid + ", which has ended,";
    auto context = base_.error_context(now);
    context.note(other + " starts it, keeps it, or ends it");
    throw TimeoutExpired{context.message(called() + " is not ready after " + to_text(budget_)),
                         budget_};
  }
  waits.until(deadline_);
  if (lease_)
    waits.add(lease_.event());
  else
    waits.until(after(now, pause_after(now - began_at_)));
}

MIRAKURU_DECL void SharedStartBase::fail(TimePoint now, const std::string& headline) const {
  throw ExecutorError{base_.error_context(now).message(headline)};
}

MIRAKURU_DECL std::string SharedStartBase::called() const {
  return "the shared service '" + one_line(name_) + '\'';
}

}  // namespace mirakuru::detail
