// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <stdexcept>
#include <string_view>

#include <mirakuru/detail/net.hpp>
#include <mirakuru/detail/pattern.hpp>
#include <mirakuru/detail/response_head.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/ready/http.hpp>
#include <mirakuru/ready/tcp.hpp>

namespace mirakuru {

namespace detail {

inline bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

/// A token of RFC 9110, 5.6.2.
inline bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || (c != 0 && std::string_view{"!#$%&'*+-.^_`|~"}.find(
                                                  static_cast<char>(c)) != std::string_view::npos);
  });
}

inline bool equal_but_for_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

/// The parts of a URL's authority, checked for form only.
struct URLParts {
  explicit URLParts(const std::string& text) {
    const auto refuse = [&](const std::string& why) {
      throw std::invalid_argument{"the URL '" + text + "' " + why};
    };
    if (std::any_of(text.begin(), text.end(), [](char c) { return c == ' ' || is_control(c); }))
      refuse("has a blank or a control character in it");
    constexpr std::string_view scheme = "http://";
    if (equal_but_for_case(std::string_view{text}.substr(0, 8), "https://"))
      refuse("asks for TLS, which is not supported");
    if (!equal_but_for_case(std::string_view{text}.substr(0, scheme.size()), scheme))
      refuse("does not begin with http://");
    const auto begin = scheme.size();
    const auto end = std::min(text.find_first_of("/?#", begin), text.size());
    const auto authority = text.substr(begin, end - begin);
    if (authority.find('@') != std::string::npos)
      refuse("has a user name in it; give an Authorization header instead");
    const auto colon = authority.find(':', authority.starts_with('[') ? authority.find(']') : 0);
    host = authority.substr(0, colon);
    if (host.empty()) refuse("has no host");
    if (colon != std::string::npos && colon + 1 < authority.size()) {
      const auto digits = authority.substr(colon + 1);
      if (digits.size() > 9 || digits.find_first_not_of("0123456789") != std::string::npos)
        refuse("has a port that is no number");
      port = std::stoi(digits);
    }
    target = text.substr(end, text.find('#', end) - end);
    if (!target.starts_with('/')) target.insert(0, 1, '/');
  }

  std::string host;
  int port = 80;
  std::string target;
};

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
  add_own("Host", plain ? host : authority(host, check.url.port()));
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

MIRAKURU_DECL ResponseHead::ResponseHead() {
  llhttp_settings_init(&settings_);
  settings_.on_status_complete = &ResponseHead::on_status_complete;
  settings_.on_headers_complete = &ResponseHead::on_headers_complete;
  llhttp_init(&parser_, HTTP_RESPONSE, &settings_);
  llhttp_set_lenient_keep_alive(&parser_, 1);  // whatever an interim answer says of the connection
  parser_.data = this;
}

/// Of an interim answer the final one follows.
inline bool is_interim(int code) {
  constexpr int switching_protocols = 101;
  return code >= 100 && code < 200 && code != switching_protocols;
}

MIRAKURU_DECL int ResponseHead::on_status_complete(llhttp_t* parser) {
  if (!is_interim(parser->status_code))
    static_cast<ResponseHead*>(parser->data)->line_status_ = parser->status_code;
  return 0;
}

MIRAKURU_DECL int ResponseHead::on_headers_complete(llhttp_t* parser) {
  auto& head = *static_cast<ResponseHead*>(parser->data);
  head.status_ = head.line_status_;
  return head.status_ == 0 ? 0 : HPE_PAUSED;
}

MIRAKURU_DECL bool ResponseHead::feed(std::string_view bytes) {
  const auto head = bytes.substr(0, most_bytes - size_);
  size_ += head.size();
  // llhttp does arithmetic with the pointer, which may be null when there is nothing behind it.
  const auto result = head.empty() ? HPE_OK : llhttp_execute(&parser_, head.data(), head.size());
  if (result != HPE_OK) status_ = line_status_;
  if (status_ != 0) return false;
  if (result != HPE_OK)
    problem_ = std::string{"not an HTTP answer: "} + llhttp_get_error_reason(&parser_);
  else if (head.size() < bytes.size())
    problem_ = "more than 64 KiB in front of the body";
  return problem_.empty();
}

/// A request, and an answer.
class HTTPInquiry : public Inquiry {
 public:
  HTTPInquiry(Race& race, const HTTPCheck& check)
      : Inquiry{race, &check, check.url.host().str(), check.url.port()},
        check_{check},
        request_{request_text(check)} {}

  [[nodiscard]] bool writing() const noexcept override {
    return Inquiry::writing() || sent_ < request_.size();
  }

 private:
  void begin_talk() override {
    sent_ = 0;
    head_.emplace();
  }

  std::optional<Readiness> talk() override {
    while (sent_ < request_.size()) {
      const auto left = request_.size() - sent_;
      const ssize_t size = ::send(socket(), request_.data() + sent_, left, MSG_NOSIGNAL);
      if (size < 0 && errno == EAGAIN) return {};
      // A server may answer without having read it all: an error here is not the last word.
      sent_ += size < 0 ? left : static_cast<std::size_t>(size);
    }
    for (std::array<char, 4096> bytes;;) {
      const ssize_t size = ::recv(socket(), bytes.data(), bytes.size(), 0);
      const int error = errno;
      if (size < 0 && error == EAGAIN) return {};
      if (size > 0 && head_->feed({bytes.data(), static_cast<std::size_t>(size)})) continue;
      if (!head_->problem().empty()) return not_ready(head_->problem());
      if (head_->status() == 0)
        return size < 0 ? refusal(error) : not_ready("closed without an HTTP answer");
      if (check_.status.matches(head_->status())) return true;
      return not_ready("HTTP " + std::to_string(head_->status()));
    }
  }

  const HTTPCheck& check_;
  std::string request_;
  std::size_t sent_ = 0;
  std::optional<ResponseHead> head_;
};

MIRAKURU_DECL Entry enter(Race& race, const HTTPCheck* check, const Process&) {
  return {race.enter(std::make_unique<HTTPInquiry>(race, *check))};
}

MIRAKURU_DECL Entry enter_look(Race& race, const HTTPCheck* check) {
  const TCPCheck port{check->url.host(), check->url.port()};
  return enter_look(race, &port);
}

}  // namespace detail

MIRAKURU_DECL URL::URL(const std::string& text)
    : text_{text},
      host_{detail::URLParts{text}.host},
      port_{detail::URLParts{text}.port},
      target_{detail::URLParts{text}.target} {}

MIRAKURU_DECL StatusPattern::StatusPattern() {
  for (std::size_t code = 200; code < 300; ++code) codes_.set(code);
}

MIRAKURU_DECL StatusPattern::StatusPattern(const std::string& pattern) {
  static_cast<void>(detail::Pattern{pattern});  // an error is told of what was given
  const detail::Pattern whole{"^(?:" + pattern + ")$"};
  detail::PatternSearch search{whole};
  for (int code = 100; code < 1000; ++code) {
    if (detail::is_interim(code)) continue;
    codes_[static_cast<std::size_t>(code)] = search.feed(std::to_string(code));
    search.restart();
  }
  if (codes_.none()) throw std::invalid_argument{"no status code matches '" + pattern + "'"};
}

MIRAKURU_DECL Method::Method(std::string name) : name_{std::move(name)} {
  if (!detail::is_token(name_)) throw std::invalid_argument{"not a method: '" + name_ + "'"};
}

MIRAKURU_DECL Payload::Payload(Fields fields) : content_type_{"application/x-www-form-urlencoded"} {
  const auto encode = [this](const std::string& text) {
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      char hex[4];
      std::snprintf(hex, sizeof hex, "%%%02X", static_cast<unsigned>(byte));
      if (c == ' ')
        body_ += '+';
      else if (std::isalnum(byte) != 0 ||
               (c != '\0' && std::string_view{"*-._"}.find(c) != std::string_view::npos))
        body_ += c;
      else
        body_ += hex;
    }
  };
  for (const auto& [name, value] : fields) {
    if (!body_.empty()) body_ += '&';
    encode(name);
    body_ += '=';
    encode(value);
  }
}

MIRAKURU_DECL Headers::Headers(std::vector<Field> fields) : fields_{std::move(fields)} {
  for (const auto& [name, value] : fields_)
    if (!detail::is_token(name) || std::any_of(value.begin(), value.end(), [](char c) {
          return c != '\t' && detail::is_control(c);
        }))
      throw std::invalid_argument{"this cannot be a header: '" + name + "'"};
}

MIRAKURU_DECL bool Headers::has(std::string_view name) const {
  return std::any_of(fields_.begin(), fields_.end(), [&](const Field& field) {
    return detail::equal_but_for_case(field.first, name);
  });
}

MIRAKURU_DECL std::string HTTPCheck::describe() const { return method.str() + ' ' + url.text(); }

}  // namespace mirakuru
