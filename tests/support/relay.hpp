// SPDX-License-Identifier: BSL-1.0
// A network that can go: a relay of TCP connections on loopback.

#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <mirakuru/os/unique_fd.hpp>

namespace test {

/// Carries each connection to its own port on to another port, in a thread of the test.
class Relay {
 public:
  explicit Relay(std::uint16_t to)
      : to_{to}, listener_{stream()}, wake_{::eventfd(0, EFD_CLOEXEC)} {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_.get(), generic, size) != 0 || ::listen(listener_.get(), 100) != 0 ||
        ::getsockname(listener_.get(), generic, &size) != 0)
      throw std::system_error{errno, std::generic_category(), "cannot relay"};
    port_ = ntohs(address.sin_port);
    thread_ = std::thread{[this] { run(); }};
  }
  Relay(const Relay&) = delete;
  ~Relay() { order(State::closed); }

  [[nodiscard]] std::string port() const { return std::to_string(port_); }
  /// From now on no byte comes through. Both sides stay open, and nothing tells them.
  void fall_silent() { state_ = State::silent; }
  /// Closes both sides of each connection; none comes through any more.
  void close() { order(State::closed); }
  /// The number of bytes that have come through.
  [[nodiscard]] std::size_t carried() const { return carried_; }

 private:
  using UniqueFd = mirakuru::detail::UniqueFd;
  enum class State { open, silent, closed };

  static UniqueFd stream() { return UniqueFd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)}; }
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  void order(State state) {
    state_ = state;
    const std::uint64_t one = 1;
    if (::write(wake_.get(), &one, sizeof one) == sizeof one && thread_.joinable()) thread_.join();
  }
  void accept() {
    UniqueFd client{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    UniqueFd server = stream();
    const sockaddr_in address = loopback(to_);
    if (client.get() < 0 ||
        ::connect(server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      return;
    ends_.push_back(std::move(client));
    ends_.push_back(std::move(server));
  }
  /// False at the end of the connection.
  bool carry(int from, int to) {
    std::array<char, 65536> bytes;
    const ssize_t size = ::recv(from, bytes.data(), bytes.size(), 0);
    // The silence may have begun while this thread slept.
    if (state_ != State::open) return true;
    for (ssize_t sent = 0; sent < size;) {
      const ssize_t n =
          ::send(to, bytes.data() + sent, static_cast<std::size_t>(size - sent), MSG_NOSIGNAL);
      if (n <= 0) return false;
      sent += n;
    }
    if (size > 0) carried_ += static_cast<std::size_t>(size);
    return size > 0;
  }
  void run() {
    while (state_ != State::closed) {
      std::vector<pollfd> events{{wake_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
      // Ends stay in pairs; in silence nobody looks at them, as behind a cable that is cut.
      if (state_ == State::open)
        for (const auto& end : ends_) events.push_back({end.get(), POLLIN, 0});
      if (::poll(events.data(), events.size(), -1) < 0) continue;
      if (events[1].revents != 0) accept();
      for (std::size_t i = events.size(); i-- > 2 && state_ == State::open;) {
        const std::size_t end = i - 2, first = end / 2 * 2;
        if (events[i].revents == 0) continue;
        if (carry(ends_[end].get(), ends_[end ^ 1U].get())) continue;
        ends_.erase(ends_.begin() + static_cast<std::ptrdiff_t>(first),
                    ends_.begin() + static_cast<std::ptrdiff_t>(first) + 2);
        i = first + 2;  // the other end of the pair is gone, too
      }
    }
    ends_.clear();
  }

  std::uint16_t to_, port_ = 0;
  UniqueFd listener_, wake_;
  std::vector<UniqueFd> ends_;
  std::atomic<State> state_ = State::open;
  std::atomic<std::size_t> carried_ = 0;
  std::thread thread_;
};

}  // namespace test
