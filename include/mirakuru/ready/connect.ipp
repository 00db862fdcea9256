// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <mirakuru/error.hpp>
#include <mirakuru/ready/connect.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL Readiness ConnectProbe::refusal(int error) {
  return not_ready(reason_text({error, std::generic_category()}));
}

MIRAKURU_DECL Readiness ConnectProbe::poll(TimePoint now) {
  const bool begins = !trying_;
  if (closed_) return begins ? Readiness{} : end_attempt(now, {});
  if (begins) begin_attempt(now);
  auto answer = continue_attempt();
  was_long_ = !begins;
  if (!answer && now < limit_) return {};
  return end_attempt(now, std::move(answer));
}

MIRAKURU_DECL void ConnectProbe::wait(TimePoint now, WaitSet& waits) const {
  // The service has no work with a question to the kernel, nor with a refusal.
  if (!trying_) return waits.until(after(now, pause_after(waited(now), was_long_ ? 45 : 64)));
  waits.add(resolver_ ? resolver_->event() : socket_.get(),
            !resolver_ && (connecting_ || sending()) ? POLLOUT : POLLIN);
  waits.until(limit_);
}

MIRAKURU_DECL void ConnectProbe::begin_attempt(TimePoint now) {
  constexpr std::size_t share = 7;
  trying_ = true;
  began_ = now;
  limit_ = after(now, attempt_limit(waited(now)));
  next_ = 0;
  said_.reset();
  endpoints_ = known_;
  if (endpoints_.empty())
    resolver_.emplace(host_, port_);
  else
    begin_with_another();
  refused_ = refused_ && attempts_ % share != 0 && !resolver_ &&
             std::all_of(endpoints_.begin(), endpoints_.end(), [this](const Endpoint& endpoint) {
               return listeners_.none_at(endpoint.data());
             });
}

/// An attempt that was cut short by the deadline does not replace an earlier reason.
MIRAKURU_DECL Readiness ConnectProbe::end_attempt(TimePoint now, std::optional<Readiness> answer) {
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

MIRAKURU_DECL void ConnectProbe::begin_with_another() {
  const auto first = static_cast<std::ptrdiff_t>(attempts_ % endpoints_.size());
  std::rotate(endpoints_.begin(), endpoints_.begin() + first, endpoints_.end());
}

/// Goes on as far as it can without a wait.
MIRAKURU_DECL std::optional<Readiness> ConnectProbe::continue_attempt() {
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

MIRAKURU_DECL std::optional<Readiness> ConnectProbe::try_endpoint() {
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
  return talk(socket_.get());
}

MIRAKURU_DECL int ConnectProbe::connect(const Endpoint& endpoint) {
  constexpr int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const auto open = [&] { return UniqueFd{::socket(endpoint.address.ss_family, type, 0)}; };
  socket_ = open();
  if (!socket_ && listeners_.close()) socket_ = open();  // its descriptor may have been the last
  connecting_ = true;
  const bool begun = socket_ && (::connect(socket_.get(), endpoint.data(), endpoint.size) == 0 ||
                                 errno == EINPROGRESS);
  return begun ? 0 : errno;
}

MIRAKURU_DECL int ConnectProbe::outcome(const Endpoint& endpoint) const {
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

}  // namespace mirakuru::detail
