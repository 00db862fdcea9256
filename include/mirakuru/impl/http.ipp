// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <stdexcept>
#include <string_view>

#include <asio/buffer.hpp>
#include <asio/write.hpp>

#include <mirakuru/detail/net.hpp>
#include <mirakuru/detail/pattern.hpp>
#include <mirakuru/detail/race_core.hpp>
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
  std::string text = check.method.str() + ' ' + check.url.target() + " HTTP/1.1\r\n";
  const auto add = [&](const std::string& name, const std::string& value) {
    text += name + ": " + value + "\r\n";
  };
  const auto add_own = [&](const std::string& name, const std::string& value) {
    if (!check.headers.has(name)) add(name, value);
  };
  const std::string& host = check.url.host();
  add_own("Host", check.url.port() == 80 && host.find(':') == std::string::npos
                      ? host
                      : authority(host, check.url.port()));
  add_own("User-Agent", "mirakuru");
  add_own("Accept", "*/*");
  add_own("Connection", "close");
  const bool has_payload = !check.payload.content_type().empty();
  const auto& method = check.method.str();
  if (has_payload) add_own("Content-Type", check.payload.content_type());
  if (has_payload || method == "POST" || method == "PUT" || method == "PATCH")
    add_own("Content-Length", std::to_string(check.payload.body().size()));
  for (const auto& [name, value] : check.headers.fields()) add(name, value);
  return text + "\r\n" + check.payload.body();
}

MIRAKURU_DECL ResponseHead::ResponseHead() {
  llhttp_settings_init(&settings_);
  settings_.on_headers_complete = &ResponseHead::on_headers_complete;
  llhttp_init(&parser_, HTTP_RESPONSE, &settings_);
  llhttp_set_lenient_keep_alive(&parser_, 1);  // whatever an interim answer says of the connection
  parser_.data = this;
}

MIRAKURU_DECL int ResponseHead::on_headers_complete(llhttp_t* parser) {
  constexpr int switching_protocols = 101;
  const int code = parser->status_code;
  if (code >= 100 && code < 200 && code != switching_protocols)
    return 0;  // interim: the final one follows
  static_cast<ResponseHead*>(parser->data)->status_ = code;
  return HPE_PAUSED;
}

MIRAKURU_DECL bool ResponseHead::feed(std::string_view bytes) {
  const auto head = bytes.substr(0, most_bytes - size_);
  size_ += head.size();
  // llhttp does arithmetic with the pointer, which may be null when there is nothing behind it.
  const auto result = head.empty() ? HPE_OK : llhttp_execute(&parser_, head.data(), head.size());
  if (status_ != 0) return false;
  if (result != HPE_OK)
    problem_ = std::string{"not an HTTP answer: "} + llhttp_get_error_reason(&parser_);
  else if (head.size() < bytes.size())
    problem_ = "more than 64 KiB in front of the body";
  return problem_.empty();
}

/// Asks over one connection.
inline asio::awaitable<Readiness> ask(const HTTPCheck& check, Connection& connection) {
  asio::ip::tcp::socket socket{co_await asio::this_coro::executor};
  asio::error_code error;
  co_await finish_connecting(connection, socket, error);
  if (error) co_return failed(error);

  // A server may answer without having read the whole request: an error here is not the last word.
  const auto request = request_text(check);
  co_await asio::async_write(socket, asio::buffer(request),
                             asio::redirect_error(asio::use_awaitable, error));
  ResponseHead head;
  std::array<char, 4096> bytes;
  for (std::size_t size = 0;;) {
    size = co_await socket.async_read_some(asio::buffer(bytes),
                                           asio::redirect_error(asio::use_awaitable, error));
    if (!head.feed({bytes.data(), size}) || error) break;
  }
  if (!head.problem().empty()) co_return not_ready(head.problem());
  if (head.status() == 0)
    co_return error == asio::error::eof ? not_ready("closed without an HTTP answer")
                                        : failed(error);
  if (!check.status.matches(head.status()))
    co_return not_ready("HTTP " + std::to_string(head.status()));
  co_return true;
}

/// Ready with the first endpoint that answers as it is to.
struct HTTPInquiry {
  const HTTPCheck& check;

  [[nodiscard]] std::optional<Readiness> at_once(const Connection& connection) const {
    return refused_at_once(connection);
  }
  static asio::awaitable<Readiness> begin(HTTPInquiry inquiry, Connection connection,
                                          std::vector<Endpoint> others) {
    for (;; connection = begin_to_connect(others)) {
      auto readiness = co_await ask(inquiry.check, connection);
      if (readiness || others.empty()) co_return readiness;
    }
  }
};

MIRAKURU_DECL Entry enter(Race& race, const HTTPCheck* check, const Process&) {
  return enter_inquiry(race, check->url.host(), check->url.port(), HTTPInquiry{*check});
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
  for (std::size_t code = 100; code < codes_.size(); ++code) {
    codes_[code] = search.feed(std::to_string(code));
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

MIRAKURU_DECL bool Headers::has(const std::string& name) const {
  return std::any_of(fields_.begin(), fields_.end(), [&](const Field& field) {
    return detail::equal_but_for_case(field.first, name);
  });
}

MIRAKURU_DECL std::string HTTPCheck::describe() const { return method.str() + ' ' + url.text(); }

}  // namespace mirakuru
