// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <exception>
#include <type_traits>
#include <utility>

#include <mirakuru/budget/backoff.hpp>
#include <mirakuru/engine/loop.hpp>
#include <mirakuru/engine/start.hpp>
#include <mirakuru/engine/stop.hpp>
#include <mirakuru/engine/wait.hpp>
#include <mirakuru/executor.hpp>

// The executor's member functions.

namespace mirakuru {

template <class... Policies>
template <class... Given>
Executor<Policies...>::Executor(detail::ResolvedCommand command, Given... given)
    : service_{detail::make_service<Set>(std::move(command),
                                         detail::hana::tuple<Given...>{std::move(given)...})} {}

template <class... Policies>
Executor<Policies...>& Executor<Policies...>::operator=(Executor&& other) noexcept {
  if (this == &other) return *this;
  std::destroy_at(this);
  return *std::construct_at(this, std::move(other));
}

template <class... Policies>
Executor<Policies...>::~Executor() {
  if (!service_.process) return;
  try {
    end(service_.signals.steps(), detail::ExitPolicy::ignore);
  } catch (...) {  // a destructor has nobody to tell
  }
}

template <class... Policies>
template <class Predicate>
Executor<Policies...>& Executor<Policies...>::wait_for(Predicate predicate,
                                                       std::chrono::nanoseconds timeout) & {
  static_assert(std::is_invocable_r_v<bool, Predicate&> ||
                    std::is_invocable_r_v<bool, Predicate&, const Process&>,
                "mirakuru: wait_for() takes a predicate that is called as predicate() or "
                "predicate(const mirakuru::Process&) and returns bool");
  const auto holds = [&]() -> bool {
    if constexpr (std::is_invocable_r_v<bool, Predicate&>)
      return predicate();
    else if constexpr (std::is_invocable_r_v<bool, Predicate&, const Process&>)
      return predicate(Process{pid(), service_.streams, running()});
    else
      return true;  // has had its error
  };
  detail::PollLoop loop;
  const auto begin = detail::Clock::now(), deadline = detail::after(begin, timeout);
  while (!holds()) {
    const auto now = detail::Clock::now();
    if (now >= deadline) {
      auto error_context = service_.error_context(now, "the predicate of wait_for");
      error_context.waited = now - begin;
      TimeoutExpired error{error_context.message("timed out after " + detail::to_text(timeout)),
                           timeout};
      kill();
      throw error;
    }
    WaitSet pause;
    pause.until(std::min(deadline, detail::after(now, detail::pause_after(now - begin))));
    loop.wait(pause);
  }
  return *this;
}

template <class... Policies>
template <class Body>
Executor<Policies...>& Executor<Policies...>::stopped(Body&& body) & {
  const bool was_running = running();
  if (was_running) stop();
  try {
    if constexpr (std::is_invocable_v<Body, Executor&>)
      std::forward<Body>(body)(*this);
    else
      std::forward<Body>(body)();
  } catch (...) {
    try {
      if (was_running) start();
    } catch (const std::exception&) {  // the body's own exception is the one to be seen
    }
    throw;
  }
  if (was_running) start();
  return *this;
}

}  // namespace mirakuru
