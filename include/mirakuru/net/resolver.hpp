// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru::detail {

/// Looks up the endpoints of a host name in a thread of its own, so that a deadline holds.
///
/// Nobody waits for the thread: it outlives this object for as long as the resolver takes. Asio's
/// resolver would join its thread, and getaddrinfo_a(3) is glibc's alone.
class AsyncResolver {
 public:
  AsyncResolver(const std::string& host, std::uint16_t port);

  /// True once the look-up has ended.
  [[nodiscard]] bool done() const noexcept { return state_->done; }
  /// A descriptor that becomes readable then; -1 when there was none to be had.
  [[nodiscard]] int event() const noexcept { return state_->done_event.get(); }
  /// The endpoints found; once.
  [[nodiscard]] std::vector<Endpoint> take() { return std::move(state_->endpoints); }
  /// Why there are none.
  [[nodiscard]] std::string problem() const;

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

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/net/resolver.ipp>
#endif
