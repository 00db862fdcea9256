// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/engine/loop.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/group/operation.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru::detail {

/// Two starts of one executor at once would spawn two processes.
inline void refuse_twice(std::span<const Member> members) {
  std::vector<const ServiceBase*> all;
  for (const auto& member : members) all.push_back(&member.service->base());
  std::ranges::sort(all, std::less<>{});
  const auto twice = std::ranges::adjacent_find(all);
  if (twice != all.end())
    throw std::invalid_argument{"an executor is given twice: " + (*twice)->command.text()};
}

MIRAKURU_DECL GroupOperation::GroupOperation(std::span<Member> members, CoroutineLoop loop,
                                             std::chrono::nanoseconds limit)
    : members_{members}, loop_{loop}, limit_{limit}, upwards_{true}, runs_(members.size()) {
  refuse_twice(members);
}

MIRAKURU_DECL GroupOperation::GroupOperation(std::span<Member> members, End how)
    : members_{members},
      limit_{std::chrono::nanoseconds::max()},
      end_{how},
      upwards_{false},
      runs_(members.size()) {}

/// Those that run before a start are left alone, and those that do not run need no end.
MIRAKURU_DECL void GroupOperation::begin() {
  const auto now = Clock::now();
  deadline_ = after(now, limit_);
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    auto& run = runs_[i];
    auto& member = members_[i];
    if (upwards_) {
      member.began = member.ready = {};
      member.is_task = false;
      run.is_foreign = member.service->alive();
      if (run.is_foreign) run.state = State::ready;
    } else {
      run.state = member.service->pid() != 0 ? State::ready : State::gone;
    }
  }
}

MIRAKURU_DECL bool GroupOperation::resume(TimePoint now, WaitSet& waits) {
  if (!std::exchange(began_, true)) begin();
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    if (runs_[i].task.due(now, waits)) go_on(i, waits);
    if (upwards_ && runs_[i].state == State::ready) watch(i, now, waits);
  }
  if (upwards_) start_those_possible();
  if (!upwards_) end_those_possible();

  if (upwards_ && all(State::ready)) return true;
  if (!upwards_ && all(State::gone)) {
    if (error_) std::rethrow_exception(error_);
    return true;
  }
  waits.clear();
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    auto& run = runs_[i];
    run.task.wait(waits);
    if (!upwards_ || run.state != State::ready || members_[i].is_task) continue;
    run.place = waits.add(members_[i].service->event());
    waits.until(run.look_at);
  }
  return false;
}

/// Goes on with a task, which may end.
MIRAKURU_DECL void GroupOperation::go_on(std::size_t at, const WaitSet& waits) {
  auto& run = runs_[at];
  auto& member = members_[at];
  const bool starts = run.state == State::starting;
  try {
    const auto now = Clock::now();
    if (!run.task.resume(now, waits)) return;
    run.task.end();
    run.state = starts ? State::ready : State::gone;
    if (!starts) return;
    member.ready = now;
    member.is_task = !member.service->alive();
  } catch (...) {
    run.task.end();
    run.state = State::gone;
    keep(starts ? with_limit(std::current_exception()) : std::current_exception());
  }
}

/// A member that dies fails those that wait for it.
MIRAKURU_DECL void GroupOperation::watch(std::size_t at, TimePoint now, const WaitSet& waits) {
  auto& run = runs_[at];
  if (members_[at].is_task || (now < run.look_at && !waits.ready(run.place))) return;
  auto& service = *members_[at].service;
  run.look_at = after(now, service.event() < 0 ? pause_after({}) : std::chrono::seconds{1});
  if (service.alive() && service.base().exit_code.value_or(0) == 0) return;
  try {
    service.base().told = true;
    service.base().error_context(now).throw_exited(service.base().exit_code.value_or(0),
                                                   " while others of its group started");
  } catch (...) {
    keep(std::current_exception());
  }
}

MIRAKURU_DECL void GroupOperation::start_those_possible() {
  for (std::size_t i = 0; i < runs_.size() && upwards_; ++i) {
    auto& member = members_[i];
    const bool possible =
        runs_[i].state == State::idle && std::ranges::all_of(member.needs, [this](auto need) {
          return runs_[need].state == State::ready;
        });
    if (!possible) continue;
    member.began = Clock::now();
    runs_[i].state = State::starting;
    runs_[i].task.begin(member.service->start(loop_, deadline_ - member.began));
    go_on(i, {});
  }
}

MIRAKURU_DECL void GroupOperation::end_those_possible() {
  const auto is_needed = [this](std::size_t at) {
    for (std::size_t i = 0; i < runs_.size(); ++i)
      if (runs_[i].state != State::gone && std::ranges::count(members_[i].needs, at) > 0)
        return true;
    return false;
  };
  for (bool changed = true; std::exchange(changed, false);) {
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      auto& run = runs_[i];
      if (run.state == State::idle || (run.state == State::ready && run.is_foreign)) {
        run.state = State::gone;
        changed = true;
      }
      if (run.state != State::ready || (end_ != End::kill && is_needed(i))) continue;
      run.state = State::ending;
      run.task.begin(members_[i].service->end(end_));
      go_on(i, {});
      changed |= run.state == State::gone;
    }
  }
}

MIRAKURU_DECL void GroupOperation::keep(std::exception_ptr error) {
  if (!error_) error_ = std::move(error);
  if (!std::exchange(upwards_, false)) return;
  const auto cancelled =
      std::make_exception_ptr(ExecutorError{"another member of the group has failed"});
  for (auto& run : runs_)
    if (run.state == State::starting) run.task.cancel(cancelled);
}

MIRAKURU_DECL void GroupOperation::fail(std::exception_ptr error) {
  if (upwards_) return keep(std::move(error));
  end_ = End::kill;
  for (auto& run : runs_)
    if (run.state == State::ending) run.task.cancel(error);
}

MIRAKURU_DECL bool GroupOperation::all(State state) const {
  return std::ranges::all_of(runs_, [state](const Run& run) { return run.state == state; });
}

/// A member has the lesser of two budgets; its message says if that was the group's.
MIRAKURU_DECL std::exception_ptr GroupOperation::with_limit(std::exception_ptr error) const try {
  std::rethrow_exception(error);
} catch (const TimeoutExpired& expired) {
  if (Clock::now() < deadline_) return error;
  return std::make_exception_ptr(TimeoutExpired{std::string{expired.what()} +
                                                    "\n  note: the start of its group had " +
                                                    to_text(limit_) + " for all of it",
                                                limit_});
} catch (...) {
  return error;
}

MIRAKURU_DECL void run_start(std::span<Member> members, std::chrono::nanoseconds limit) {
  if (members.empty()) return;
  const auto make = [&](CoroutineLoop loop) {
    return std::make_unique<TaskOf<GroupOperation>>(members, loop, limit);
  };
  const auto with_asio = std::ranges::find_if(
      members, [](const Member& member) { return member.service->needs_asio(); });
  const auto& chosen = with_asio == members.end() ? members.front() : *with_asio;
  chosen.service->run(make);
}

MIRAKURU_DECL void run_end(std::span<Member> members, End how) {
  run(GroupOperation{members, how}, PollLoop{});
}

}  // namespace mirakuru::detail
