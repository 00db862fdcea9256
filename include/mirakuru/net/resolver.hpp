// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/os/config.hpp>
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
  AsyncResolver(const std::string& host, std::uint16_t port);

  /// True if the look-up has ended.
  [[nodiscard]] bool done() const noexcept { return state_->done; }
  /// A descriptor that becomes readable at the end; -1 if none was available.
  [[nodiscard]] int event() const noexcept { return state_->done_event.get(); }
  /// Moves the result out, to be called once after the end. Empty if the look-up has failed.
  [[nodiscard]] std::vector<Endpoint> take() { return std::move(state_->endpoints); }
  /// The reason of the failure, to be called after the end.
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
