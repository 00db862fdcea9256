// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>

#include <mirakuru/error.hpp>
#include <mirakuru/net/address.hpp>
#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/net/holders.hpp>
#include <mirakuru/net/listeners.hpp>
#include <mirakuru/net/resolver.hpp>
#include <mirakuru/net/socket_path.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/file_changes.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/ready/probe.hpp>
#include <mirakuru/spawn/launch.hpp>
#include <mirakuru/text/phrases.hpp>

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

/// The name of a host, which may be the one that the command runs on.
[[nodiscard]] inline std::string name_of_host(const Host& host, const Process& process) {
  if (!host.is_spawned()) return host;
  const auto* const far = process.context().far;
  return far == nullptr ? "127.0.0.1" : far->host;
}

/// A probe that connects to a port or a Unix socket again and again; a connection is ready.
///
/// An attempt tries the endpoints of the host in turn, each over a connection of its own, until one
/// is ready. It has a time limit. Each attempt begins with another endpoint, so that one mute
/// endpoint does not take the time of all. After a refusal the next six attempts connect only if
/// the kernel's table has a listener at one of them; the table does not know about redirections.
/// A change to the path of a Unix socket ends the pause before the next attempt.
///
/// With port 0 an attempt tries the ports that the tree listens on. A port that a check has found
/// before comes first in the first attempt.
class ConnectProbe : public Probe {
 public:
  /// Without a process it is asked before the start, and once.
  explicit ConnectProbe(Target target, const Process* process = nullptr)
      : target_{std::move(target)}, process_{process}, known_{endpoints_of(target_)} {
    if (process_ != nullptr && target_.port == 0 && !target_.socket)
      tree_.emplace(process_->pid(), process_->context().guardian);
    if (process_ != nullptr && target_.socket && !target_.socket->abstract())
      changes_.emplace(process_->context().changes);
  }

  Readiness poll(TimePoint now) override {
    const bool begins = !trying_;
    if (closed_) return begins ? Readiness{} : end_attempt(now, {});
    // A change to another file has ended the wait.
    if (begins && following_ && now < next_attempt_ && !changes_->drain()) return {};
    if (begins) begin_attempt(now);
    now_ = now;
    auto answer = continue_attempt();
    was_long_ = !begins;
    if (!answer && now < limit_) return {};
    return end_attempt(now, std::move(answer));
  }

  void wait(TimePoint now, WaitSet& waits) const override {
    if (!trying_ && following_) {
      waits.add(changes_->event());
      return waits.until(next_attempt_);
    }
    if (!trying_) return waits.until(after(now, pause(now)));
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
  /// The answer so far is one: the attempt ends soon unless more comes; false: it has all its time.
  void expect_end(bool soon) {
    constexpr std::chrono::nanoseconds least = std::chrono::milliseconds{50};
    limit_ = after(began_, attempt_limit(waited(began_)));
    if (soon) limit_ = std::min(limit_, after(now_, std::max(least, waited(now_) / 8)));
  }
  /// For a talk that is not ready: it is tried once more at the same endpoint.
  void retry() noexcept { retries_ = true; }
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
  /// The answer of a talk that ends at the time limit or the deadline; none for no answer.
  [[nodiscard]] virtual std::optional<Readiness> so_far() const { return {}; }

  /// Those that need no resolver.
  [[nodiscard]] static std::vector<Endpoint> endpoints_of(const Target& target) {
    if (target.socket) return {target.socket->endpoint()};
    return known_endpoints(target.host, target.port);
  }

  [[nodiscard]] std::chrono::nanoseconds waited(TimePoint now) const {
    return process_ != nullptr ? process_->waited(now) : std::chrono::nanoseconds{};
  }

  /// The service has no work with a question to the kernel, nor with a refusal.
  [[nodiscard]] std::chrono::nanoseconds pause(TimePoint now) const {
    return pause_after(waited(now), was_long_ ? 45 : 64);
  }

  /// No change of the socket's path between an attempt and the next wait is lost.
  void follow_socket(TimePoint now) {
    if (!changes_) return;
    bool news = changes_->drain();
    if (news || !following_) following_ = changes_->follow_path(target_.socket->str(), news);
    next_attempt_ = news ? now : after(now, pause(now));
  }

  void begin_attempt(TimePoint now) {
    constexpr std::size_t share = 7;
    trying_ = true;
    began_ = now;
    limit_ = after(now, attempt_limit(waited(now)));
    next_ = 0;
    said_.reset();
    if (known_.empty())
      resolver_.emplace(target_.host, target_.port);
    else
      begin_with_another_of(known_);
    const auto nobody_at = [this](const Endpoint& endpoint) {
      return listeners_.none_at(endpoint.data());
    };
    refused_ = refused_ && target_.type == SOCK_STREAM && attempts_ % share != 0 && !resolver_ &&
               !tree_ && std::ranges::all_of(endpoints_, nobody_at);
  }

  /// An attempt that was cut short by the deadline does not replace an earlier reason.
  Readiness end_attempt(TimePoint now, std::optional<Readiness> answer) {
    const auto took = now - began_;
    if (!answer && (!closed_ || !has_reason_ || took > waited(now) / 2)) {
      if (socket_ && !connecting_) answer = so_far();
      if (!answer) answer = not_ready("no answer within " + to_text(took));
    }
    trying_ = false;
    ++attempts_;
    resolver_.reset();
    socket_.reset();
    follow_socket(now);
    if (!answer) return {};
    has_reason_ |= !answer->reason().empty();
    return *std::move(answer);
  }

  void begin_with_another_of(const std::vector<Endpoint>& addresses) {
    const auto ports = tree_ ? ports_of_tree(addresses) : std::vector<Endpoint>{};
    const auto& all = tree_ ? ports : addresses;
    endpoints_.clear();
    for (std::size_t i = 0; i < all.size(); ++i)
      endpoints_.push_back(all[(attempts_ + i) % all.size()]);
  }

  /// The ports that the tree listens on at these addresses.
  [[gnu::cold]] std::vector<Endpoint> ports_of_tree(const std::vector<Endpoint>& addresses) {
    std::vector<Endpoint> found;
    const auto add = [&](const Endpoint& endpoint) {
      if (std::ranges::find(found, endpoint) == found.end()) found.push_back(endpoint);
    };
    const auto& listeners = tree_->look(listeners_);
    const auto* const port = process_->context().port;
    const std::uint16_t first = port != nullptr ? *port : 0;  // that a check has found
    const bool any = known_.empty();  // the addresses of a name may be those of a router
    for (const bool is_first : {true, false})
      for (const auto& own : listeners)
        for (const auto& address : addresses) {
          const auto mapped = mapped_address(address.data());
          const bool reached = !own.elsewhere || !is_loopback(*mapped);
          if ((own.entry.port == first) == is_first && reached &&
              (any || own.entry.distance_to(*mapped)))
            add(address.with_port(own.entry.port));
        }
    if (first != 0 && !tree_->complete())
      for (const auto& address : addresses) add(address.with_port(first));
    return found;
  }

  [[nodiscard]] Readiness nowhere() const {
    return not_ready(tree_->complete() ? "it listens on no TCP port of " + target_.host
                                       : "/proc hides the ports that it listens on");
  }

  /// Goes on as far as it can without a wait.
  std::optional<Readiness> continue_attempt() {
    if (refused_) return Readiness{};  // the reason of the last connection still holds
    if (resolver_) {
      if (!resolver_->done()) return {};
      const auto addresses = resolver_->take();
      if (addresses.empty()) return not_ready(resolver_->problem());
      resolver_.reset();
      begin_with_another_of(addresses);
    }
    if (endpoints_.empty()) return nowhere();
    for (;;) {
      auto answer = try_endpoint();
      if (!answer || *answer) return answer;
      if (std::exchange(retries_, false)) {
        --next_;
        socket_.reset();
        continue;
      }
      if (!connecting_) said_ = answer;
      // An answer is worth more than the refusals of the other endpoints.
      refused_ = next_ == endpoints_.size() && !said_;
      if (next_ == endpoints_.size()) return said_ ? said_ : answer;
      socket_.reset();
    }
  }

  std::optional<Readiness> try_endpoint() {
    if (!socket_)
      if (const int error = connect(endpoints_[next_++]); error != 0) {
        // Before the start: the queue of somebody who listens at a Unix socket is full.
        if (process_ == nullptr && target_.socket && error == EAGAIN) return true;
        return refusal(error);
      }
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
      note_ = target_.owned ? look_at_owner() : std::string{};
      begin_talk();
    }
    auto answer = talk(socket_.get());
    if (answer && *answer) passed(*answer);
    return answer;
  }

  /// Keeps the port of the connection. A port that the service has chosen replaces another one.
  void passed(Readiness& answer) {
    auto* const port = process_ != nullptr ? process_->context().port : nullptr;
    if (port != nullptr && target_.type == SOCK_STREAM && !target_.socket && (tree_ || *port == 0))
      *port = port_at_hand();
    if (!note_.empty() && answer.reason().empty()) answer = ready_but(note_);
  }

  /// Looks whose the listener is that has accepted. Throws `CannotHold` if it is certainly none of
  /// the service's. Returns a note if that cannot be told.
  [[gnu::cold]] std::string look_at_owner() {
    const pid_t guardian = process_ != nullptr ? process_->context().guardian : 0;
    Endpoint own{.size = sizeof(sockaddr_storage)}, peer = own;
    if (guardian == 0 || target_.type != SOCK_STREAM || target_.socket ||
        ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&own.address), &own.size) != 0 ||
        ::getpeername(socket_.get(), reinterpret_cast<sockaddr*>(&peer.address), &peer.size) != 0)
      return {};
    const auto mapped = mapped_address(peer.data());
    const bool is_here = mapped && (is_loopback(*mapped) || own.with_port(0) == peer.with_port(0));
    if (!is_here) return {};
    owner_ = owner_of_listener(listeners_, peer.data(), process_->pid(), guardian, owner_);
    if (owner_.kind == ListenerOwner::Kind::others)
      throw CannotHold{"port " + authority(target_.host, peer.port()) + " is held by " +
                       owner_.text + ", which is not of this service"};
    return owner_.kind == ListenerOwner::Kind::service
               ? std::string{}
               : "its listener may be another's: " + owner_.text;
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
  std::optional<TreeListeners> tree_;  // for port 0
  ListenerOwner owner_;                // of the last connection
  std::string note_;
  std::size_t attempts_ = 0;
  bool refused_ = false;     // the last attempt, at once and by each endpoint
  bool has_reason_ = false;  // an attempt has given one
  bool was_long_ = false;    // the last attempt had to wait
  bool closed_ = false;
  std::optional<FileChanges::Follower> changes_;  // to the path of a Unix socket
  bool following_ = false;
  TimePoint next_attempt_ = {};  // if it follows

  // The attempt under way.
  bool trying_ = false;
  TimePoint began_ = {}, limit_ = {}, now_ = {};
  std::optional<AsyncResolver> resolver_;
  std::vector<Endpoint> endpoints_;
  std::size_t next_ = 0;
  UniqueFd socket_;
  bool connecting_ = false;
  bool retries_ = false;
  std::optional<Readiness> said_;  // by an endpoint that has accepted
};

}  // namespace mirakuru::detail
