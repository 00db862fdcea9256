// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/socket.h>
#include <algorithm>
#include <stdexcept>

#include <mirakuru/os/printable.hpp>
#include <mirakuru/ready/net/connect.hpp>
#include <mirakuru/ready/net/talk.hpp>
#include <mirakuru/ready/net/tcp.hpp>
#include <mirakuru/ready/net/unix_socket.hpp>
#include <mirakuru/text/cut.hpp>
#include <mirakuru/text/line_search.hpp>

namespace mirakuru {

namespace detail {

/// Throws `std::invalid_argument` for a check that has no place to talk to, or two.
inline Target target_of(const TalkCheck& check, const Process* process) {
  const auto refuse_if = [](bool wrong, const char* why) {
    if (wrong) throw std::invalid_argument{std::string{"a TalkCheck "} + why};
  };
  refuse_if(!check.port && !check.socket, "has neither a port nor a socket");
  refuse_if(check.port && check.socket, "has both a port and a socket");
  refuse_if(check.udp && check.socket, "talks over UDP to a port only");
  refuse_if(check.udp && check.send.empty(), "over UDP has to send something");
  refuse_if(check.udp && check.port == 0, "over UDP needs the number of a port");
  if (check.socket) return {.socket = check.socket};
  return {.host = process == nullptr ? check.host.str() : name_of_host(check.host, *process),
          .port = *check.port,
          .type = check.udp ? SOCK_DGRAM : SOCK_STREAM,
          .owned = check.owned && !check.may_be_there && !check.udp};
}

/// Sends the text over each connection, and searches the answer.
class TalkProbe final : public ConnectProbe {
 public:
  explicit TalkProbe(const TalkCheck& check, const Process* process = nullptr)
      : ConnectProbe{target_of(check, process), process}, check_{check} {}

 private:
  static constexpr std::size_t most = 64 * 1024;

  void begin_talk() override {
    sent_ = size_ = 0;
    begin_.clear();
    if (!check_.expect) return;
    fresh_ = check_.expect->fresh();
    search_.emplace(fresh_ ? *fresh_ : *check_.expect);
  }

  [[nodiscard]] bool sending() const noexcept override { return sent_ < check_.send.size(); }

  [[nodiscard]] std::optional<Readiness> talk(int socket) override {
    while (sending()) {
      const auto left = check_.send.size() - sent_;
      const ssize_t size = ::send(socket, check_.send.data() + sent_, left, MSG_NOSIGNAL);
      if (size < 0 && errno == EAGAIN) return {};
      if (size < 0 && check_.udp) return refusal(errno);
      // A server may answer before it has read all: an error here is not the last word.
      sent_ += size < 0 ? left : static_cast<std::size_t>(size);
    }
    for (;;) {
      const ssize_t size = ::recv(socket, bytes_.data(), most - size_, 0);
      const int error = errno;
      if (size < 0 && error == EAGAIN) return {};
      if (size < 0 || (size == 0 && !check_.udp)) {
        if (size_ > 0) return answer();
        return size < 0 ? refusal(error) : not_ready("closed without an answer");
      }
      if (take({bytes_.data(), static_cast<std::size_t>(size)})) return true;
      if (size_ >= most) return answer();
    }
  }

  /// Takes the next piece of the answer. True if a line matches.
  bool take(std::string_view piece) {
    size_ += std::max<std::size_t>(piece.size(), 1);  // an endless answer of empty datagrams, too
    if (begin_.size() < longest_quote) begin_ += piece;
    if (!search_) return !piece.empty();
    if (check_.udp) search_->restart();
    expect_end(check_.udp || piece.ends_with('\n'));
    return search_->feed(piece);
  }

  /// The first line of an answer that does not match.
  [[nodiscard]] Readiness answer() const {
    std::string_view line = begin_;
    line.remove_prefix(std::min(line.find_first_not_of("\r\n"), line.size()));
    line = line.substr(0, line.find_first_of("\r\n"));
    return not_ready("it answered '" + one_line(shortened(std::string{line}, longest_quote)) + "'" +
                     (size_ < most ? "" : ", and more than 64 KiB"));
  }
  [[nodiscard]] std::optional<Readiness> so_far() const override {
    return size_ > 0 ? std::optional{answer()} : std::nullopt;
  }

  static constexpr std::size_t longest_quote = 200;

  const TalkCheck& check_;
  std::vector<char> bytes_ = std::vector<char>(most);
  // Of the connection at hand.
  std::size_t sent_ = 0, size_ = 0;  // bytes sent and received
  std::string begin_;                // of the answer
  std::optional<LineMatcher> fresh_;
  std::optional<LineSearch> search_;
};

}  // namespace detail

MIRAKURU_DECL std::string TalkCheck::describe() const {
  const std::uint16_t number = port ? *port : Port{0};
  const auto place = socket        ? socket->str()
                     : number == 0 ? host.str() + ", on a port that it chooses,"
                                   : detail::authority(host, number);
  const auto text = expect ? detail::one_line(expect->expression()) : "";
  const auto* const wanted = !expect ? "" : text.empty() ? " with a line that matches" : " with '";
  return "an answer of " + place + (udp ? " over UDP" : "") + wanted + text +
         (text.empty() ? "" : "'");
}

MIRAKURU_DECL std::string TalkCheck::describe_conflict() const {
  if (socket) return UnixSocketCheck{*socket}.describe_conflict();
  if (udp) return detail::authority(host, *port) + " answers over UDP";
  return TCPCheck{host, *port}.describe_conflict();
}

MIRAKURU_DECL std::string TalkCheck::hint(const Process& process) const {
  return socket || udp || !port ? "" : TCPCheck{host, *port}.hint(process);
}

MIRAKURU_DECL std::unique_ptr<Probe> TalkCheck::precheck() const {
  auto target = detail::target_of(*this, nullptr);
  if (may_be_there || (!socket && (*port == 0 || host.is_spawned()))) return nullptr;
  if (udp) return std::make_unique<detail::TalkProbe>(*this);
  if (!socket) return TCPCheck{host, *port}.precheck();
  return std::make_unique<detail::ConnectProbe>(std::move(target));
}

MIRAKURU_DECL std::unique_ptr<Probe> TalkCheck::probe(const Process& process) const {
  return std::make_unique<detail::TalkProbe>(*this, &process);
}

}  // namespace mirakuru
