// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <exception>
#include <type_traits>
#include <utility>

#include <mirakuru/engine/loop.hpp>
#include <mirakuru/engine/start.hpp>
#include <mirakuru/engine/stop.hpp>
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
  try {
    end(service_.signals.steps(), detail::ExitPolicy::ignore);
  } catch (...) {  // a destructor has nobody to tell
  }
}

template <class... Policies>
Executor<Policies...>& Executor<Policies...>::start() & {
  detail::Race race;
  for (detail::Starting<Set> starting{service_}; !starting.resume(race);) race.run();
  return *this;
}

template <class... Policies>
void Executor<Policies...>::end(std::span<const SignalStep> steps, detail::ExitPolicy judgement) {
  if (!service_.process) return;
  detail::Race race;
  for (detail::Ending<Set> ending{service_, steps, judgement}; !ending.resume(race);) race.run();
}

template <class... Policies>
Executor<Policies...>& Executor<Policies...>::stop() & {
  end(service_.signals.steps(), detail::ExitPolicy::check);
  return *this;
}

template <class... Policies>
Executor<Policies...>& Executor<Policies...>::stop(int signal, const std::vector<int>& accept) & {
  try {
    end(detail::single_step(signal), detail::ExitPolicy::check);
  } catch (const ProcessFinishedWithError& error) {
    if (!service_.is_good(error.exit_code(), accept)) throw;
  }
  return *this;
}

template <class... Policies>
Executor<Policies...>& Executor<Policies...>::kill() & {
  end(service_.kill_steps(), detail::ExitPolicy::ignore);
  return *this;
}

template <class... Policies>
Executor<Policies...>& Executor<Policies...>::kill(int signal) & {
  end(detail::single_step(signal), detail::ExitPolicy::ignore);
  return *this;
}

template <class... Policies>
Executor<Policies...>& Executor<Policies...>::wait() & {
  detail::Race race;
  const auto begin = detail::Clock::now();
  while (running() && !service_.exit_code) {
    const auto now = detail::Clock::now();
    const int event = service_.process->event();
    race.watch(event);
    // Somebody may have stopped who would tell the news.
    const auto pause = event < 0 ? detail::pause_after(now - begin) : std::chrono::seconds{1};
    race.until(detail::after(now, pause));
    race.run();
  }
  return *this;
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
  detail::Race race;
  const auto begin = detail::Clock::now(), deadline = detail::after(begin, timeout);
  while (!holds()) {
    const auto now = detail::Clock::now();
    if (now >= deadline) {
      auto error_context = service_.error_context("the predicate of wait_for");
      error_context.waited = now - begin;
      TimeoutExpired error{error_context.message("timed out after " + detail::to_text(timeout)),
                           timeout};
      kill();
      throw error;
    }
    race.until(std::min(deadline, detail::after(now, detail::pause_after(now - begin))));
    race.run();
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
