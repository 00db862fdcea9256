// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/net/listeners.hpp>
#include <mirakuru/net/resolver.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/ready/probe.hpp>

namespace mirakuru::detail {

/// A probe that connects to a TCP port again and again; a connection is ready.
///
/// An attempt tries the endpoints of the host in turn, each over a connection of its own, until one
/// is ready. It has a time limit. Each attempt begins with another endpoint, so that one mute
/// endpoint does not take the time of all. After a refusal the next six attempts connect only if
/// the kernel's table has a listener at one of them; the table does not know about redirections.
class ConnectProbe : public Probe {
 public:
  /// Without a process it is asked before the start, and once.
  ConnectProbe(const std::string& host, std::uint16_t port, const Process* process = nullptr)
      : host_{host}, port_{port}, process_{process}, known_{known_endpoints(host, port)} {}

  [[nodiscard]] Readiness poll(TimePoint now) override;
  void wait(TimePoint now, WaitSet& waits) const override;
  [[nodiscard]] bool pending() const noexcept override { return trying_; }
  void close(TimePoint) override { closed_ = true; }

 protected:
  [[nodiscard]] static Readiness refusal(int error);

 private:
  /// Called with each new connection.
  virtual void begin_talk() {}
  /// Continues the talk over a connection; none: it has to wait for the socket.
  [[nodiscard]] virtual std::optional<Readiness> talk([[maybe_unused]] int socket) { return true; }
  /// True when the talk waits until it can send.
  [[nodiscard]] virtual bool sending() const noexcept { return false; }

  void begin_attempt(TimePoint now);
  [[nodiscard]] std::optional<Readiness> continue_attempt();
  [[nodiscard]] std::optional<Readiness> try_endpoint();
  [[nodiscard]] int connect(const Endpoint& endpoint);
  [[nodiscard]] int outcome(const Endpoint& endpoint) const;
  void begin_with_another();
  [[nodiscard]] Readiness end_attempt(TimePoint now, std::optional<Readiness> answer);
  [[nodiscard]] std::chrono::nanoseconds waited(TimePoint now) const {
    return process_ != nullptr ? process_->waited(now) : std::chrono::nanoseconds{};
  }

  std::string host_;
  std::uint16_t port_;
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

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/connect.ipp>
#endif
