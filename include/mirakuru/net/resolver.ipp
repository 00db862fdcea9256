// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <netdb.h>
#include <sys/eventfd.h>
#include <new>
#include <system_error>
#include <thread>

#include <mirakuru/net/resolver.hpp>
#include <mirakuru/os/signals_blocked.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL AsyncResolver::AsyncResolver(const std::string& host, std::uint16_t port)
    : state_{std::make_shared<State>()} {
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

MIRAKURU_DECL std::string AsyncResolver::problem() const {
  return state_->error == EAI_NONAME ? "host not found" : ::gai_strerror(state_->error);
}

}  // namespace mirakuru::detail
