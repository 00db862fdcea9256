// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>

#include <mirakuru/error.hpp>
#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/net/listeners.hpp>
#include <mirakuru/net/resolver.hpp>
#include <mirakuru/net/socket_path.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/ready/probe.hpp>

// Only .ipp files include this, so that all of it is in the class.

namespace mirakuru::detail {

/// Where a probe connects to: a port of a host, or a Unix socket.
struct Target {
  std::string host = {};
  std::uint16_t port = 0;  // 0: the TCP port that the service has chosen
  std::optional<SocketPath> socket = {};
  int type = SOCK_STREAM;  // or SOCK_DGRAM
  bool owned = false;      // the TCP listener must be one of the service's
};

/// A probe that connects to a port or a Unix socket again and again; a connection is ready.
///
/// An attempt tries the endpoints of the host in turn, each over a connection of its own, until one
/// is ready. It has a time limit. Each attempt begins with another endpoint, so that one mute
/// endpoint does not take the time of all. After a refusal the next six attempts connect only if
/// the kernel's table has a listener at one of them; the table does not know about redirections.
class ConnectProbe : public Probe {
 public:
  /// Without a process it is asked before the start, and once.
  explicit ConnectProbe(Target target, const Process* process = nullptr)
      : target_{std::move(target)}, process_{process}, known_{endpoints_of(target_)} {}

  Readiness poll(TimePoint now) override {
    const bool begins = !trying_;
    if (closed_) return begins ? Readiness{} : end_attempt(now, {});
    if (begins) begin_attempt(now);
    auto answer = continue_attempt();
    was_long_ = !begins;
    if (!answer && now < limit_) return {};
    return end_attempt(now, std::move(answer));
  }

  void wait(TimePoint now, WaitSet& waits) const override {
    // The service has no work with a question to the kernel, nor with a refusal.
    if (!trying_) return waits.until(after(now, pause_after(waited(now), was_long_ ? 45 : 64)));
    waits.add(resolver_ ? resolver_->event() : socket_.get(),
              !resolver_ && (connecting_ || sending()) ? POLLOUT : POLLIN);
    waits.until(limit_);
  }

  [[nodiscard]] bool pending() const noexcept override { return trying_; }
  void close(TimePoint) override { closed_ = true; }

 protected:
  [[nodiscard]] static Readiness refusal(int error) {
    return not_ready(reason_text({error, std::generic_category()}));
  }
  /// The port of the connection at hand; 0 for a Unix socket.
  [[nodiscard]] std::uint16_t port_at_hand() const noexcept {
    return next_ == 0 ? std::uint16_t{0} : endpoints_[next_ - 1].port();
  }

 private:
  /// Called with each new connection.
  virtual void begin_talk() {}
  /// Continues the talk over a connection; no answer: it waits for the socket.
  [[nodiscard]] virtual std::optional<Readiness> talk([[maybe_unused]] int socket) { return true; }
  /// True when the talk waits until it can send.
  [[nodiscard]] virtual bool sending() const noexcept { return false; }

  /// Those that need no resolver.
  [[nodiscard]] static std::vector<Endpoint> endpoints_of(const Target& target) {
    if (target.socket) return {target.socket->endpoint()};
    return known_endpoints(target.host, target.port);
  }

  [[nodiscard]] std::chrono::nanoseconds waited(TimePoint now) const {
    return process_ != nullptr ? process_->waited(now) : std::chrono::nanoseconds{};
  }

  void begin_attempt(TimePoint now) {
    constexpr std::size_t share = 7;
    trying_ = true;
    began_ = now;
    limit_ = after(now, attempt_limit(waited(now)));
    next_ = 0;
    said_.reset();
    endpoints_ = known_;
    if (endpoints_.empty())
      resolver_.emplace(target_.host, target_.port);
    else
      begin_with_another();
    const auto nobody_at = [this](const Endpoint& endpoint) {
      return listeners_.none_at(endpoint.data());
    };
    refused_ = refused_ && target_.type == SOCK_STREAM && attempts_ % share != 0 && !resolver_ &&
               std::all_of(endpoints_.begin(), endpoints_.end(), nobody_at);
  }

  /// An attempt that was cut short by the deadline does not replace an earlier reason.
  Readiness end_attempt(TimePoint now, std::optional<Readiness> answer) {
    const auto took = now - began_;
    if (!answer && (!has_reason_ || took > waited(now) / 2))
      answer = not_ready("no answer within " + to_text(took));
    trying_ = false;
    ++attempts_;
    resolver_.reset();
    socket_.reset();
    if (!answer) return {};
    has_reason_ |= !answer->reason().empty();
    return *std::move(answer);
  }

  void begin_with_another() {
    const auto first = static_cast<std::ptrdiff_t>(attempts_ % endpoints_.size());
    std::rotate(endpoints_.begin(), endpoints_.begin() + first, endpoints_.end());
  }

  /// Goes on as far as it can without a wait.
  std::optional<Readiness> continue_attempt() {
    if (refused_) return Readiness{};  // the reason of the last connection still holds
    if (resolver_) {
      if (!resolver_->done()) return {};
      endpoints_ = resolver_->take();
      if (endpoints_.empty()) return not_ready(resolver_->problem());
      resolver_.reset();
      begin_with_another();
    }
    for (;;) {
      auto answer = try_endpoint();
      if (!answer || *answer) return answer;
      if (!connecting_) said_ = answer;
      // An answer is worth more than the refusals of the other endpoints.
      refused_ = next_ == endpoints_.size() && !said_;
      if (next_ == endpoints_.size()) return said_ ? said_ : answer;
      socket_.reset();
    }
  }

  std::optional<Readiness> try_endpoint() {
    if (!socket_)
      if (const int error = connect(endpoints_[next_++]); error != 0) return refusal(error);
    if (connecting_) {
      // On this machine a connection is made or refused when connect() has returned.
      pollfd event{.fd = socket_.get(), .events = POLLOUT, .revents = 0};
      if (::poll(&event, 1, 0) == 0) {
        // Before the start: the queue of somebody who listens is full.
        const bool taken = process_ == nullptr && listeners_.one_at(endpoints_[next_ - 1].data());
        return taken ? std::optional{Readiness{true}} : std::nullopt;
      }
      if (const int error = outcome(endpoints_[next_ - 1]); error != 0) return refusal(error);
      connecting_ = false;
      begin_talk();
    }
    return talk(socket_.get());
  }

  int connect(const Endpoint& endpoint) {
    const int type = target_.type | SOCK_NONBLOCK | SOCK_CLOEXEC;
    const auto open = [&] { return UniqueFd{::socket(endpoint.address.ss_family, type, 0)}; };
    socket_ = open();
    if (!socket_ && listeners_.close()) socket_ = open();  // that descriptor may have been the last
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
        error == 0 && !endpoint.is_unix() &&
        ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&own.address), &own.size) == 0 &&
        own == endpoint;
    return itself ? ECONNREFUSED : error;
  }

  Target target_;
  const Process* process_;
  std::vector<Endpoint> known_;  // of an address or `localhost`; a name is looked up each time
  Listeners listeners_;
  std::size_t attempts_ = 0;
  bool refused_ = false;     // the last attempt, at once and by each endpoint
  bool has_reason_ = false;  // an attempt has given one
  bool was_long_ = false;    // the last attempt had to wait
  bool closed_ = false;

  // The attempt under way.
  bool trying_ = false;
  TimePoint began_ = {}, limit_ = {};
  std::optional<AsyncResolver> resolver_;
  std::vector<Endpoint> endpoints_;
  std::size_t next_ = 0;
  UniqueFd socket_;
  bool connecting_ = false;
  std::optional<Readiness> said_;  // by an endpoint that has accepted
};

}  // namespace mirakuru::detail
