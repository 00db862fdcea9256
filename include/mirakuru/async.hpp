// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/engine/asio_loop.hpp>
#include <mirakuru/engine/start.hpp>
#include <mirakuru/engine/stop.hpp>
#include <mirakuru/executor.hpp>

#include <asio/associated_allocator.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/bind_allocator.hpp>
#include <asio/bind_executor.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/redirect_error.hpp>
#include <asio/strand.hpp>
#include <asio/system_error.hpp>
#include <asio/system_executor.hpp>
#include <asio/use_awaitable.hpp>

// The Asio forms of an executor's members, and checks that are awaitables:
//
//     co_await server.async_start(asio::use_awaitable);
//     auto ready = server.async_start(asio::bind_executor(context, asio::use_future));
//     server.async_start(asio::bind_executor(context, [](std::exception_ptr error) { ... }));
//
// The members' own comments in executor.hpp say the rest.

namespace mirakuru::detail {

// Cancellation of each operation, from its next resume() on.
template <class Operation>
void cancel(Operation& operation) {
  operation.fail(std::make_exception_ptr(asio::system_error{asio::error::operation_aborted}));
}
inline void cancel(StopOperation& stop) { stop.hurry(Clock::now()); }

/// Runs the operation that `make(loop)` returns on the current executor, as `run()` does in a
/// thread.
template <class Make>
asio::awaitable<void> drive(Make make) {
  co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation{});
  co_await asio::this_coro::throw_if_cancelled(false);
  AsioLoop loop{co_await asio::this_coro::executor};
  auto operation = make(loop);
  bool cancelled = false;
  for (WaitSet waits; !operation.resume(Clock::now(), waits);) {
    if (waits.wants_no_wait()) continue;
    loop.begin(waits);
    while (!loop.is_over()) {
      const auto state = co_await asio::this_coro::cancellation_state;
      if (state.cancelled() != asio::cancellation_type::none && !std::exchange(cancelled, true)) {
        cancel(operation);
        loop.wake();
        continue;
      }
      asio::error_code ignored;
      co_await loop.async_over(asio::redirect_error(asio::use_awaitable, ignored));
    }
  }
}

/// The executor that an operation runs on. The one of a bare `use_future` can run completions only.
template <class Executor>
asio::any_io_executor io_executor(const Executor& executor) {
  if constexpr (std::is_convertible_v<Executor, asio::any_io_executor>)
    return executor;
  else
    return asio::system_executor{};
}

/// Drives the operation on a strand of the handler's executor, and passes the handler's
/// cancellation on to that strand.
struct InitiateDrive {
  template <class Handler, class Make>
  void operator()(Handler&& handler, Make make) const {
    const auto executor = asio::get_associated_executor(handler);
    const auto allocator = asio::get_associated_allocator(handler);
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
    asio::co_spawn(
        strand, drive(std::move(make)),
        asio::bind_cancellation_slot(
            signal->slot(),
            asio::bind_executor(executor, asio::bind_allocator(allocator, std::move(complete)))));
  }
};

template <class T>
void async_is_included(AsyncTag, T*);

/// Found by argument-dependent lookup in the executor's members.
template <class CompletionToken, class Make>
auto async_operation(AsyncTag, CompletionToken&& token, Make make) {
  return asio::async_initiate<CompletionToken, void(std::exception_ptr)>(InitiateDrive{}, token,
                                                                         std::move(make));
}

}  // namespace mirakuru::detail
