// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/bind_executor.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/redirect_error.hpp>
#include <asio/strand.hpp>
#include <asio/system_error.hpp>
#include <asio/system_executor.hpp>

#include <mirakuru/engine/asio.hpp>
#include <mirakuru/engine/asio_loop.hpp>
#include <mirakuru/engine/start.hpp>
#include <mirakuru/engine/stop.hpp>
#include <mirakuru/executor.hpp>

// The Asio forms of start() and stop().
//
//     co_await server.async_start(asio::use_awaitable);
//     auto ready = server.async_start(asio::bind_executor(context, asio::use_future));
//     server.async_start(asio::bind_executor(context, [](std::exception_ptr error) { ... }));
//
// The completion signature is `void(std::exception_ptr)`: what the blocking form throws, or null.
//
// The operation runs on a strand of the token's associated executor, so any number of threads may
// run that context, and any number of executors may be started on it at once. A token without one
// runs on `asio::system_executor`, for which Asio makes threads of its own.
//
// Cancellation of any type is taken once, by the token's cancellation slot. A cancelled
// `async_start` ends the tree by the kill signal and then completes with
// `asio::error::operation_aborted`: nothing is left running. A cancelled `async_stop` goes over to
// SIGKILL at once, and completes as it would have done otherwise.
//
// The executor must stay where it is until the operation has completed, and no other member
// function is called meanwhile.

namespace mirakuru {

namespace detail {

template <class T>
asio::awaitable<Readiness> as_readiness(asio::awaitable<T> answer) {
  co_return co_await std::move(answer);
}
inline asio::awaitable<Readiness> as_readiness(asio::awaitable<void> event) {
  co_await std::move(event);
  co_return true;
}

/// A check that is an awaitable: it is waited for as long as it takes.
template <class Check>
  requires requires(Check& check, const Process& process) { as_readiness(check(process)); }
Entry enter(Race& race, Check* check, const Process& process) {
  RaceCore::of(race).enter(as_readiness((*check)(process)));
  return {.attempt = Attempt::open_ended};
}

/// What cancellation does to each of the state machines.
template <class Set>
void cancel(Starting<Set>& starting) {
  starting.fail(std::make_exception_ptr(asio::system_error{asio::error::operation_aborted}));
}
template <class Set>
void cancel(Ending<Set>& ending) {
  ending.hurry();
}

/// Runs a state machine on the current executor, as `Race::run()` does in a thread.
template <class Machine>
asio::awaitable<void> drive(Machine machine) {
  co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation{});
  co_await asio::this_coro::throw_if_cancelled(false);
  Race race{std::make_unique<RaceCore>(co_await asio::this_coro::executor)};
  auto& core = RaceCore::of(race);
  bool cancelled = false;
  while (!machine.resume(race)) {
    core.arm(race.take_waits());
    while (!core.settled()) {
      const auto state = co_await asio::this_coro::cancellation_state;
      if (state.cancelled() != asio::cancellation_type::none && !std::exchange(cancelled, true)) {
        cancel(machine);
        core.wake();
        continue;
      }
      asio::error_code ignored;
      co_await core.settling.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
  }
}

/// The executor that an operation runs on. That of a bare `use_future` can run completions only.
template <class Executor>
asio::any_io_executor io_executor(const Executor& executor) {
  if constexpr (std::is_convertible_v<Executor, asio::any_io_executor>)
    return executor;
  else
    return asio::system_executor{};
}

/// Drives the machine that `make_machine()` returns on a strand of the handler's executor. The
/// handler's cancellation is passed on to that strand.
struct InitiateDrive {
  template <class Handler, class MakeMachine>
  void operator()(Handler&& handler, MakeMachine make_machine) const {
    const auto executor = asio::get_associated_executor(handler);
    const asio::any_io_executor strand{asio::make_strand(io_executor(executor))};
    auto slot = asio::get_associated_cancellation_slot(handler);
    const auto signal = std::make_shared<asio::cancellation_signal>();
    if (slot.is_connected())
      slot.assign([signal, strand](asio::cancellation_type_t type) {
        asio::dispatch(strand, [signal, type] { signal->emit(type); });
      });
    auto complete = [signal, slot,
                     handler = std::forward<Handler>(handler)](std::exception_ptr error) mutable {
      if (slot.is_connected()) slot.clear();
      std::move(handler)(error);
    };
    asio::co_spawn(strand, drive(make_machine()),
                   asio::bind_cancellation_slot(
                       signal->slot(), asio::bind_executor(executor, std::move(complete))));
  }
};

}  // namespace detail

template <class... Policies>
template <class CompletionToken>
auto Executor<Policies...>::async_start(CompletionToken&& token) {
  return asio::async_initiate<CompletionToken, void(std::exception_ptr)>(
      detail::InitiateDrive{}, token, [this] { return detail::Starting<Set>{service_}; });
}

template <class... Policies>
template <class CompletionToken>
auto Executor<Policies...>::async_stop(CompletionToken&& token) {
  return asio::async_initiate<CompletionToken, void(std::exception_ptr)>(
      detail::InitiateDrive{}, token, [this] {
        return detail::Ending<Set>{service_, service_.signals.steps(), detail::ExitPolicy::check};
      });
}

}  // namespace mirakuru
