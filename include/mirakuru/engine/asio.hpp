// SPDX-License-Identifier: BSL-1.0
#pragma once

// The parts of Asio that the library uses.

// Before 1.24 Asio does not see that Clang has coroutines. The Meson dependency defines this too,
// for files that include Asio before this header.
#if defined(__clang__) && !defined(ASIO_HAS_CO_AWAIT) && !defined(ASIO_DETAIL_CONFIG_HPP)
#define ASIO_HAS_CO_AWAIT 1
#endif

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#if !defined(ASIO_HAS_CO_AWAIT)
#error "mirakuru: Asio has no coroutines with this compiler; define ASIO_HAS_CO_AWAIT for the build"
#endif
