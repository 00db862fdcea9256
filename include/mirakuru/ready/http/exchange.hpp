// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/socket.h>
#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <mirakuru/net/address.hpp>
#include <mirakuru/os/printable.hpp>
#include <mirakuru/ready/http/request.hpp>
#include <mirakuru/ready/http/response.hpp>
#include <mirakuru/ready/net/connect.hpp>
#include <mirakuru/text/line_matcher.hpp>
#include <mirakuru/text/phrases.hpp>

// An HTTP request and its answer, over a stream that may be TLS. Only .ipp files and tls.hpp
// include this, so that all of it is in the classes.

namespace mirakuru::detail {

/// The members of a check that a request and the judgement of its answer need.
struct Exchange {
  const URL& url;
  const StatusPattern& status;
  const std::optional<Method>& method;
  const Payload& payload;
  const Headers& headers;
  const std::optional<LineMatcher>& body;

  template <class Check>
  [[nodiscard]] static Exchange of(const Check& check) {
    return {check.url, check.status, check.method, check.payload, check.headers, check.body};
  }

  [[nodiscard]] std::string first_method() const {
    return method ? method->str() : body ? "GET" : "HEAD";
  }
  [[nodiscard, gnu::cold]] std::string describe() const {
    auto text = first_method() + ' ' + url.text();
    if (!body) return text;
    const auto expression = one_line(body->expression());
    return text + (expression.empty() ? " with a line that matches"
                                      : " with a line with '" + expression + "'");
  }
  /// The whole request. `host`: by its name at the time; `port`: of the connection, if the URL has
  /// none; `default_port`: of its scheme.
  [[nodiscard]] std::string request(const std::string& used_method, const std::string& host,
                                    std::uint16_t port, std::uint16_t default_port) const;
};

inline std::string Exchange::request(const std::string& used_method, const std::string& host,
                                     std::uint16_t port, std::uint16_t default_port) const {
  std::string text;
  text.reserve(256 + url.text().size() + payload.body().size());
  const auto add = [&](std::string_view name, std::string_view value) {
    text.append(name).append(": ").append(value).append("\r\n");
  };
  const auto add_own = [&](std::string_view name, std::string_view value) {
    if (!headers.has(name)) add(name, value);
  };
  text.append(used_method).append(" ").append(url.target()).append(" HTTP/1.1\r\n");
  const std::uint16_t sent_port = url.port() == 0 ? port : std::uint16_t{url.port()};
  const bool plain = sent_port == default_port && host.find(':') == std::string::npos;
  // The interface after a percent sign has a meaning on this machine only: RFC 6874, 4.
  const auto sent = host.substr(0, host.find('%'));
  add_own("Host", plain ? sent : authority(sent, sent_port));
  add_own("User-Agent", "mirakuru");
  add_own("Accept", "*/*");
  add_own("Connection", "close");
  const bool has_payload = !payload.content_type().empty();
  if (has_payload) add_own("Content-Type", payload.content_type());
  if (has_payload || used_method == "POST" || used_method == "PUT" || used_method == "PATCH")
    add_own("Content-Length", std::to_string(payload.body().size()));
  for (const auto& [name, value] : headers.fields()) add(name, value);
  return text.append("\r\n").append(payload.body());
}

/// The outcome of a read or a write.
struct StreamResult {
  enum State { done, wait, later, end, failed } state;  // `later`: without a wait
  std::size_t size = 0;                                 // of `done`
  std::string problem = {};                             // of `failed`
};

/// The bytes of a socket as they are.
class PlainStream {
 public:
  static constexpr std::uint16_t default_port = 80;
  /// A note for an answer that is no HTTP, or is none.
  [[nodiscard]] static std::string advice(const Response& response) {
    return response.speaks_tls() ? " (the port speaks TLS, as it seems; take HTTPSCheck)" : "";
  }
  static constexpr const char* advice_for_none = " (does the port speak TLS?)";
  static constexpr const char* advice_for_400 =
      " (does the port speak TLS?)";  // as nginx and Go do

  void begin(int socket) noexcept { socket_ = socket; }
  [[nodiscard]] StreamResult write(std::string_view bytes) {
    const ssize_t size = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size < 0 && errno == EAGAIN) return {StreamResult::wait};
    // A server may answer before it has read all: an error here is not the last word.
    return {StreamResult::done, size < 0 ? bytes.size() : static_cast<std::size_t>(size)};
  }
  [[nodiscard]] StreamResult read(std::span<char> buffer) {
    const ssize_t size = ::recv(socket_, buffer.data(), buffer.size(), 0);
    if (size > 0) return {StreamResult::done, static_cast<std::size_t>(size)};
    if (size == 0) return {StreamResult::end};
    if (errno == EAGAIN) return {StreamResult::wait};
    return {StreamResult::failed, 0, reason_text({errno, std::generic_category()})};
  }
  /// The connection is not needed any more.
  void finish() noexcept {}
  /// True when it waits until it can send.
  [[nodiscard]] static constexpr bool sending() noexcept { return false; }

 private:
  int socket_ = -1;
};

/// Sends the request over each connection, and reads the answer.
template <class Stream>
class HTTPProbe final : public ConnectProbe {
 public:
  /// The members of the check outlive the probe.
  HTTPProbe(const Exchange& exchange, Target target, const Process& process, Stream stream = {})
      : ConnectProbe{std::move(target), &process},
        exchange_{exchange},
        method_{exchange.first_method()},
        host_{name_of_host(exchange.url.host(), process)},
        stream_{std::move(stream)} {
    if (exchange_.body && method_ == "HEAD")
      throw std::invalid_argument{"an answer to HEAD has no body to look at"};
  }

 private:
  void begin_talk() override {
    more_ = false;
    request_ = exchange_.request(method_, host_, port_at_hand(), Stream::default_port);
    sent_ = 0;
    begun_ = false;
    response_.reset();
    body_ = exchange_.body ? exchange_.body->fresh() : std::nullopt;
    if (exchange_.body)
      response_.emplace(body_ ? *body_ : *exchange_.body, exchange_.status);
    else
      response_.emplace();
  }

  [[nodiscard]] bool sending() const noexcept override {
    return stream_.sending() || (sent_ < request_.size() && !waits_to_read_);
  }

  [[nodiscard]] std::optional<Readiness> talk(int socket) override {
    if (!std::exchange(begun_, true)) stream_.begin(socket);
    waits_to_read_ = more_ = false;
    while (sent_ < request_.size()) {
      const auto result = stream_.write(std::string_view{request_}.substr(sent_));
      if (result.state == StreamResult::failed) return not_ready(result.problem);
      if (result.state != StreamResult::done) {
        more_ = result.state == StreamResult::later;
        waits_to_read_ = !std::is_same_v<Stream, PlainStream>;  // TLS says itself
        return {};
      }
      sent_ += result.size;
    }
    constexpr int most_reads = 64;  // then others have their turn
    std::array<char, 4096> bytes;
    for (int i = 0; i < most_reads; ++i) {
      const auto result = stream_.read(bytes);
      if (result.state == StreamResult::wait) return {};
      if (result.state == StreamResult::later) break;
      if (result.state == StreamResult::done && response_->feed({bytes.data(), result.size}))
        continue;
      if (result.state != StreamResult::done) response_->end();
      stream_.finish();
      return judge(result);
    }
    more_ = true;  // TLS may have it already, and the socket nothing more
    return {};
  }

  void wait(TimePoint now, WaitSet& waits) const override {
    ConnectProbe::wait(now, waits);
    if (more_ && pending()) waits.until(now);
  }

  /// The time is up before the answer is complete.
  [[nodiscard, gnu::cold]] std::optional<Readiness> so_far() const override {
    if (!response_ || !response_->in_body()) return {};
    if (response_->found()) return true;
    return not_ready(status_text() + ", but so far " + response_->body_text());
  }

  /// The answer is complete, or as complete as it gets.
  [[nodiscard]] Readiness judge(const StreamResult& last) {
    if (!response_->problem().empty())
      return not_ready(response_->problem() + Stream::advice(*response_));
    const int status = response_->status();
    if (status == 0)
      return not_ready(last.state == StreamResult::failed
                           ? last.problem
                           : std::string{"closed without an HTTP answer"} +
                                 Stream::advice_for_none);
    if (exchange_.status.matches(status)) {
      if (!exchange_.body || response_->found()) return true;
      return not_ready(status_text() + ", but " + response_->body_text());
    }
    if ((status == 405 || status == 501) && !exchange_.method && method_ == "HEAD") {
      method_ = "GET";
      retry();
    }
    return not_ready(status_text());
  }

  /// "HTTP 301 to /x (redirects are not followed)".
  [[nodiscard]] std::string status_text() const {
    const int status = response_->status();
    auto text = "HTTP " + std::to_string(status);
    if (status >= 300 && status < 400 && !response_->location().empty())
      text += " to " + one_line(response_->location()) + " (redirects are not followed)";
    if (status == 400) text += Stream::advice_for_400;
    if ((status == 405 || status == 501) && method_ == "HEAD")
      text += " (the method is HEAD; try .method = \"GET\")";
    if (method_ != exchange_.first_method()) text += " (to GET, as HEAD was refused)";
    return text;
  }

  Exchange exchange_;
  std::string method_, host_;
  std::optional<LineMatcher> body_;  // with a callable for one answer
  Stream stream_;
  std::string request_;
  std::size_t sent_ = 0;
  bool begun_ = false, waits_to_read_ = false;
  bool more_ = false;                         // a read would not have to wait
  mutable std::optional<Response> response_;  // found() searches when it is asked
};

}  // namespace mirakuru::detail
