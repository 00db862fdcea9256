// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/eventfd.h>
#include <atomic>
#include <new>
#include <thread>

#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/os/signals_blocked.hpp>
#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru::detail {

/// Looks up the endpoints of a host name in its own thread, so that a slow resolver cannot delay a
/// deadline.
///
/// The thread is detached, and runs on after this object's end until the resolver has answered.
/// Asio's resolver joins its thread instead, and getaddrinfo_a(3) exists in glibc only.
class AsyncResolver {
 public:
  /// Begins the look-up. Without a descriptor or a thread it fails at once, and `problem()` says
  /// so.
  AsyncResolver(const std::string& host, std::uint16_t port) : state_{std::make_shared<State>()} {
    state_->host = host;
    state_->port = port;
    try {
      state_->done_event = checked_fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
      const SignalsBlocked blocked;
      std::thread{[state = state_] {
        try {
          state->endpoints = endpoints_of(state->host, state->port, AI_ADDRCONFIG, state->error);
        } catch (const std::bad_alloc&) {
          state->error = EAI_MEMORY;
        }
        state->done = true;
        ::eventfd_write(state->done_event.get(), 1);
      }}.detach();
    } catch (const std::system_error&) {  // a later attempt may get a descriptor and a thread
      state_->error = EAI_AGAIN;
      state_->done = true;
    }
  }

  /// True if the look-up has ended.
  [[nodiscard]] bool done() const noexcept { return state_->done; }
  /// A descriptor that becomes readable at the end; -1 if none was available.
  [[nodiscard]] int event() const noexcept { return state_->done_event.get(); }
  /// Moves the result out, to be called once after the end. Empty if the look-up has failed.
  [[nodiscard]] std::vector<Endpoint> take() { return std::move(state_->endpoints); }
  /// The reason of the failure, to be called after the end.
  [[nodiscard]] std::string problem() const {
    return state_->error == EAI_NONAME ? "host not found" : ::gai_strerror(state_->error);
  }

 private:
  struct State {
    std::string host;
    std::uint16_t port = 0;
    UniqueFd done_event = {};
    std::vector<Endpoint> endpoints = {};
    int error = 0;
    std::atomic<bool> done = false;
  };

  std::shared_ptr<State> state_;
};

}  // namespace mirakuru::detail
