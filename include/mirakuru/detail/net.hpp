// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <mirakuru/detail/listeners.hpp>
#include <mirakuru/detail/race.hpp>
#include <mirakuru/detail/unique_fd.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/process.hpp>

// What the checks on TCP share. Only impl/ includes this.

namespace mirakuru::detail {

/// The address of a TCP port.
struct Endpoint {
  sockaddr_storage address = {};
  socklen_t size = 0;

  [[nodiscard]] const sockaddr* data() const noexcept {
    return reinterpret_cast<const sockaddr*>(&address);
  }
  [[nodiscard]] bool operator==(const Endpoint& other) const noexcept {
    const auto host_and_port = [](const Endpoint& endpoint, auto visit) {
      if (endpoint.address.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(endpoint.address);
        return visit(&v4.sin_addr, sizeof v4.sin_addr, v4.sin_port);
      }
      const auto& v6 = reinterpret_cast<const sockaddr_in6&>(endpoint.address);
      return visit(&v6.sin6_addr, sizeof v6.sin6_addr, v6.sin6_port);
    };
    if (address.ss_family != other.address.ss_family) return false;
    return host_and_port(*this, [&](const void* host, std::size_t length, in_port_t port) {
      return host_and_port(other, [&](const void* its, std::size_t, in_port_t its_port) {
        return port == its_port && std::memcmp(host, its, length) == 0;
      });
    });
  }
};

/// The endpoints of a host; `error` is that of getaddrinfo(3).
inline std::vector<Endpoint> endpoints_of(const std::string& host, std::uint16_t port, int flags,
                                          int& error) {
  addrinfo hints{};
  hints.ai_flags = flags | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  std::vector<Endpoint> endpoints;
  for (const auto* entry = list; error == 0 && entry != nullptr; entry = entry->ai_next) {
    endpoints.push_back({.size = entry->ai_addrlen});
    std::memcpy(&endpoints.back().address, entry->ai_addr, entry->ai_addrlen);
  }
  if (list != nullptr) ::freeaddrinfo(list);
  return endpoints;
}

/// The endpoints of an address and of `localhost`, which need no look-up; none of any other name.
inline std::vector<Endpoint> known_endpoints(const std::string& host, std::uint16_t port) {
  Endpoint v4{.size = sizeof(sockaddr_in)}, v6{.size = sizeof(sockaddr_in6)};
  auto& in = reinterpret_cast<sockaddr_in&>(v4.address);
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  auto& in6 = reinterpret_cast<sockaddr_in6&>(v6.address);
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(port);
  if (host == "localhost") {
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in6.sin6_addr = in6addr_loopback;
    return {v4, v6};
  }
  if (::inet_pton(AF_INET, host.c_str(), &in.sin_addr) == 1) return {v4};
  if (::inet_pton(AF_INET6, host.c_str(), &in6.sin6_addr) == 1) return {v6};
  int error = 0;  // what is left with a percent sign is an address with the name of an interface
  return host.find('%') == std::string::npos ? std::vector<Endpoint>{}
                                             : endpoints_of(host, port, AI_NUMERICHOST, error);
}

/// A name that is being looked up, in a thread of its own: there is no other way to look one up
/// that nobody has to wait for. The thread goes on when nobody waits any more, for as long as the
/// resolver takes.
class LookUp {
 public:
  LookUp(const std::string& host, std::uint16_t port) : state_{std::make_shared<State>()} {
    state_->host = host;
    state_->port = port;
    state_->done_event = UniqueFd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    auto own = std::make_unique<std::shared_ptr<State>>(state_);
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigset_t all, before;  // the host's handlers do not run there
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    if (!state_->done_event || ::pthread_create(&thread, &attributes, run, own.get()) != 0) {
      state_->error = EAI_AGAIN;
      state_->done = true;
    } else {
      static_cast<void>(own.release());
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::pthread_attr_destroy(&attributes);
  }

  [[nodiscard]] bool done() const noexcept { return state_->done; }
  /// Readable when it is done.
  [[nodiscard]] int event() const noexcept { return state_->done_event.get(); }
  [[nodiscard]] std::vector<Endpoint> take() { return std::move(state_->endpoints); }
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

  static void* run(void* argument) {
    const std::unique_ptr<std::shared_ptr<State>> own{
        static_cast<std::shared_ptr<State>*>(argument)};
    auto& state = **own;
    state.endpoints = endpoints_of(state.host, state.port, AI_ADDRCONFIG, state.error);
    state.done = true;
    ::eventfd_write(state.done_event.get(), 1);
    return nullptr;
  }

  std::shared_ptr<State> state_;
};

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
  std::optional<LookUp> look_up_;
  std::size_t next_ = 0;
  UniqueFd socket_;
  bool connecting_ = false;
  std::optional<Readiness> said_;
};

}  // namespace mirakuru::detail
