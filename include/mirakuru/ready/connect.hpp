// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <mirakuru/engine/loop.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/net/listeners.hpp>
#include <mirakuru/net/resolver.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/process.hpp>

namespace mirakuru::detail {

/// Asks the endpoints of a host in turn, each over a connection of its own, until one says that it
/// is ready. After a refusal there is no connection while the kernel knows that nobody listens at
/// any of them, but for each seventh attempt: it does not know where a connection is led to.
class Inquiry : public Exchange {
 public:
  /// Each attempt begins with another endpoint, so that a mute one does not take the time of all.
  Inquiry(Race& race, const void* check, const std::string& host, std::uint16_t port)
      : listeners_{race.listeners()},
        probing_{race.probing(check)},
        endpoints_{known_endpoints(host, port)},
        attempt_{probing_.attempts++} {
    constexpr std::size_t share = 7;
    if (endpoints_.empty())
      look_up_.emplace(host, port);
    else
      begin_with_another();
    const auto nobody_at = [this](const Endpoint& endpoint) {
      return listeners_.none_at(endpoint.data());
    };
    probing_.refused = probing_.refused && attempt_ % share != 0 && !look_up_ &&
                       std::all_of(endpoints_.begin(), endpoints_.end(), nobody_at);
  }

  std::optional<Readiness> step() final {
    if (probing_.refused) return Readiness{};  // what a connection has said of it stands
    if (look_up_) {
      if (!look_up_->done()) return {};
      endpoints_ = look_up_->take();
      if (endpoints_.empty()) return not_ready(look_up_->problem());
      look_up_.reset();
      begin_with_another();
    }
    for (;;) {
      auto answer = go_on();
      if (!answer || *answer) return answer;
      if (!connecting_) said_ = answer;
      // What one has said is worth more than that the others refuse.
      probing_.refused = next_ == endpoints_.size() && !said_;
      if (next_ == endpoints_.size()) return said_ ? said_ : answer;
      socket_.reset();
    }
  }
  [[nodiscard]] int socket() const noexcept final {
    return look_up_ ? look_up_->event() : socket_.get();
  }
  [[nodiscard]] bool writing() const noexcept override { return connecting_; }

 protected:
  static Readiness refusal(int error) {
    return not_ready(reason_text({error, std::generic_category()}));
  }

 private:
  /// Called with each connection.
  virtual void begin_talk() {}
  virtual std::optional<Readiness> talk() = 0;

  void begin_with_another() {
    const auto first = static_cast<std::ptrdiff_t>(attempt_ % endpoints_.size());
    std::rotate(endpoints_.begin(), endpoints_.begin() + first, endpoints_.end());
  }

  std::optional<Readiness> go_on() {
    if (!socket_)
      if (const int error = connect(endpoints_[next_++]); error != 0) return refusal(error);
    if (connecting_) {
      // On this machine a connection is made or refused when connect() has returned.
      pollfd event{.fd = socket_.get(), .events = POLLOUT, .revents = 0};
      if (::poll(&event, 1, 0) == 0) return {};
      if (const int error = outcome(endpoints_[next_ - 1]); error != 0) return refusal(error);
      connecting_ = false;
      begin_talk();
    }
    return talk();
  }

  int connect(const Endpoint& endpoint) {
    constexpr int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    const auto open = [&] { return UniqueFd{::socket(endpoint.address.ss_family, type, 0)}; };
    socket_ = open();
    if (!socket_ && listeners_.let_go())
      socket_ = open();  // that descriptor may have been the last
    connecting_ = true;
    const bool begun = socket_ && (::connect(socket_.get(), endpoint.data(), endpoint.size) == 0 ||
                                   errno == EINPROGRESS);
    return begun ? 0 : errno;
  }

  [[nodiscard]] int outcome(const Endpoint& endpoint) const {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
    // A connection to a port in the ephemeral range where nobody listens can meet itself.
    Endpoint own{.size = sizeof(sockaddr_storage)};
    const bool itself =
        error == 0 &&
        ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&own.address), &own.size) == 0 &&
        own == endpoint;
    return itself ? ECONNREFUSED : error;
  }

  Listeners& listeners_;
  Probing& probing_;
  std::vector<Endpoint> endpoints_;
  std::size_t attempt_;
  std::optional<AsyncResolver> look_up_;
  std::size_t next_ = 0;
  UniqueFd socket_;
  bool connecting_ = false;
  std::optional<Readiness> said_;
};

}  // namespace mirakuru::detail
