// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/system_error.hpp>

#include <mirakuru/detail/asio.hpp>
#include <mirakuru/detail/race_core.hpp>
#include <mirakuru/detail/unique_fd.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/process.hpp>

// What the checks on TCP share. Only impl/ includes this.

namespace mirakuru::detail {

using Endpoint = asio::ip::tcp::endpoint;

/// The endpoints of an address and of `localhost`, which need no look-up; none of any other name.
/// Each attempt begins with another one, so that a mute one does not take the time of all.
inline std::vector<Endpoint> known_endpoints(const std::string& host, std::uint16_t port,
                                             std::size_t attempt) {
  asio::error_code not_an_address;
  const auto address = asio::ip::make_address(host, not_an_address);
  if (!not_an_address) return {{address, port}};
  if (host != "localhost") return {};
  std::vector<Endpoint> both{{asio::ip::address_v4::loopback(), port},
                             {asio::ip::address_v6::loopback(), port}};
  if (attempt % 2 != 0) std::swap(both[0], both[1]);
  return both;
}

/// The endpoints of a name, by Asio's resolver, which has a thread for it. None, and `error` says
/// why, if it is not known.
inline asio::awaitable<std::vector<Endpoint>> resolve(const std::string& host, std::uint16_t port,
                                                      std::size_t attempt,
                                                      asio::error_code& error) {
  asio::ip::tcp::resolver resolver{co_await asio::this_coro::executor};
  std::vector<Endpoint> result;
  for (const auto& entry : co_await resolver.async_resolve(
           host, std::to_string(port), asio::redirect_error(asio::use_awaitable, error)))
    result.push_back(entry.endpoint());
  if (!result.empty())
    std::rotate(result.begin(),
                result.begin() + static_cast<std::ptrdiff_t>(attempt % result.size()),
                result.end());
  co_return result;
}

/// What an attempt has come to that failed with `error`. One that was called off has no outcome.
inline Readiness failed(const asio::error_code& error) {
  if (error == asio::error::operation_aborted) throw asio::system_error{error};
  return not_ready(reason_text(error));
}

/// Asks the endpoints in turn, each over a connection of its own, until one says that it is ready.
/// Not by Asio's sockets, which are not close-on-exec.
class Inquiry : public Exchange {
 public:
  explicit Inquiry(std::vector<Endpoint> endpoints) : endpoints_{std::move(endpoints)} {}

  std::optional<Readiness> step() final {
    for (;;) {
      auto answer = go_on();
      if (!answer || *answer || next_ == endpoints_.size()) return answer;
      socket_.reset();
    }
  }
  [[nodiscard]] int socket() const noexcept final { return socket_.get(); }
  [[nodiscard]] bool writing() const noexcept override { return connecting_; }

 protected:
  static Readiness refusal(int error) {
    return not_ready(reason_text({error, std::generic_category()}));
  }

 private:
  /// Called with each connection.
  virtual void begin_talk() {}
  virtual std::optional<Readiness> talk() = 0;

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
    socket_ = UniqueFd{::socket(endpoint.protocol().family(), type, 0)};
    connecting_ = true;
    const auto size = static_cast<socklen_t>(endpoint.size());
    const bool begun =
        socket_ && (::connect(socket_.get(), endpoint.data(), size) == 0 || errno == EINPROGRESS);
    return begun ? 0 : errno;
  }

  [[nodiscard]] int outcome(const Endpoint& endpoint) const {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
    // A connection to a port in the ephemeral range where nobody listens can meet itself.
    Endpoint own;
    size = static_cast<socklen_t>(own.capacity());
    const bool itself =
        error == 0 && ::getsockname(socket_.get(), own.data(), &size) == 0 && own == endpoint;
    return itself ? ECONNREFUSED : error;
  }

  std::vector<Endpoint> endpoints_;
  std::size_t next_ = 0;
  UniqueFd socket_;
  bool connecting_ = false;
};

/// Waits for a descriptor that is somebody else's.
inline asio::awaitable<asio::error_code> wait_for(int fd, bool writing) {
  struct Borrowed : asio::posix::stream_descriptor {
    using asio::posix::stream_descriptor::stream_descriptor;
    ~Borrowed() {
      if (is_open()) release();
    }
  };
  Borrowed descriptor{co_await asio::this_coro::executor, fd};
  asio::error_code error;
  co_await descriptor.async_wait(
      writing ? asio::posix::descriptor_base::wait_write : asio::posix::descriptor_base::wait_read,
      asio::redirect_error(asio::use_awaitable, error));
  co_return error;
}

template <class MakeInquiry>
asio::awaitable<Readiness> look_up_and_inquire(std::string host, std::uint16_t port,
                                               std::size_t number, MakeInquiry make) {
  asio::error_code error;
  auto endpoints = co_await resolve(host, port, number, error);
  if (endpoints.empty()) co_return failed(error);
  const std::unique_ptr<Exchange> inquiry = make(std::move(endpoints));
  for (;;) {
    auto answer = inquiry->step();
    if (answer) co_return *std::move(answer);
    error = co_await wait_for(inquiry->socket(), inquiry->writing());
    if (error) co_return failed(error);
  }
}

/// Enters the inquiry that `make(endpoints)` returns.
template <class MakeInquiry>
Entry enter_inquiry(Race& race, const std::string& host, std::uint16_t port, MakeInquiry make) {
  const auto number = race.count_attempt();
  auto endpoints = known_endpoints(host, port, number);
  if (endpoints.empty())
    race.core().enter(look_up_and_inquire(host, port, number, make));
  else if (auto answer = race.enter(make(std::move(endpoints))))
    return *std::move(answer);
  return Attempt::limited;
}

}  // namespace mirakuru::detail
