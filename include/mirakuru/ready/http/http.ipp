// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/ready/http/http.hpp>
#include <mirakuru/ready/http/response.hpp>
#include <mirakuru/ready/net/connect.hpp>

namespace mirakuru {

namespace detail {

MIRAKURU_DECL std::string request_text(const HTTPCheck& check) {
  const auto& method = check.method.str();
  const auto& host = check.url.host().str();
  const auto& body = check.payload.body();
  std::string text;
  text.reserve(256 + check.url.text().size() + body.size());
  const auto add = [&](std::string_view name, std::string_view value) {
    text.append(name).append(": ").append(value).append("\r\n");
  };
  const auto add_own = [&](std::string_view name, std::string_view value) {
    if (!check.headers.has(name)) add(name, value);
  };
  text.append(method).append(" ").append(check.url.target()).append(" HTTP/1.1\r\n");
  const bool plain = check.url.port() == 80 && host.find(':') == std::string::npos;
  // The interface after a percent sign has a meaning on this machine only: RFC 6874, 4.
  const auto sent = host.substr(0, host.find('%'));
  add_own("Host", plain ? sent : authority(sent, check.url.port()));
  add_own("User-Agent", "mirakuru");
  add_own("Accept", "*/*");
  add_own("Connection", "close");
  const bool has_payload = !check.payload.content_type().empty();
  if (has_payload) add_own("Content-Type", check.payload.content_type());
  if (has_payload || method == "POST" || method == "PUT" || method == "PATCH")
    add_own("Content-Length", std::to_string(body.size()));
  for (const auto& [name, value] : check.headers.fields()) add(name, value);
  return text.append("\r\n").append(body);
}

/// Sends the request over each connection, and reads the answer.
class HTTPProbe final : public ConnectProbe {
 public:
  HTTPProbe(const HTTPCheck& check, const Process& process)
      : ConnectProbe{Target{check.url.host(), check.url.port()}, &process},
        check_{check},
        request_{request_text(check)} {}

 private:
  void begin_talk() override {
    sent_ = 0;
    head_.emplace();
  }

  [[nodiscard]] bool sending() const noexcept override { return sent_ < request_.size(); }

  [[nodiscard]] std::optional<Readiness> talk(int socket) override {
    while (sending()) {
      const auto left = request_.size() - sent_;
      const ssize_t size = ::send(socket, request_.data() + sent_, left, MSG_NOSIGNAL);
      if (size < 0 && errno == EAGAIN) return {};
      // A server may answer before it has read all: an error here is not the last word.
      sent_ += size < 0 ? left : static_cast<std::size_t>(size);
    }
    for (std::array<char, 4096> bytes;;) {
      const ssize_t size = ::recv(socket, bytes.data(), bytes.size(), 0);
      const int error = errno;
      if (size < 0 && error == EAGAIN) return {};
      if (size > 0 && head_->feed({bytes.data(), static_cast<std::size_t>(size)})) continue;
      if (!head_->problem().empty())
        return not_ready(head_->problem() +
                         (head_->speaks_tls() ? " (the port speaks TLS, as it seems)" : ""));
      if (head_->status() == 0)
        return size < 0 ? refusal(error)
                        : not_ready("closed without an HTTP answer (does the port speak TLS?)");
      if (check_.status.matches(head_->status())) return true;
      return not_ready(answer());
    }
  }

  /// An answer that is not the one waited for.
  [[nodiscard]] std::string answer() const {
    const int status = head_->status();
    auto text = "HTTP " + std::to_string(status);
    if (status >= 300 && status < 400 && !head_->location().empty())
      text += " to " + one_line(head_->location());
    if ((status == 405 || status == 501) && check_.method.str() == "HEAD")
      text += " (the method is HEAD; try .method = \"GET\")";
    return text;
  }

  const HTTPCheck& check_;
  std::string request_;
  std::size_t sent_ = 0;
  std::optional<ResponseHead> head_;
};

}  // namespace detail

MIRAKURU_DECL std::unique_ptr<Probe> HTTPCheck::probe(const Process& process) const {
  return std::make_unique<detail::HTTPProbe>(*this, process);
}

}  // namespace mirakuru
