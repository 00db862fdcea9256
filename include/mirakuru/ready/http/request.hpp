// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <bitset>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include <mirakuru/net/address.hpp>
#include <mirakuru/os/config.hpp>

// The values that an HTTP check is made of.

namespace mirakuru {

namespace detail {

/// True for a 1xx status, which the final one follows. 101 is final: the protocol changes there.
[[nodiscard]] constexpr bool is_interim(int status) {
  return status >= 100 && status < 200 && status != 101;
}

struct URLParts;

}  // namespace detail

/// An `http` URL: `http://host[:port][/path][?query]`; the port is 80 if none is given.
///
/// Throws `std::invalid_argument` for a URL without a host, with another scheme,
/// a user name, a blank or a control character. A fragment is left out. Other characters that no
/// request may have are encoded as `%XX`. Source: RFC 3986, 3; RFC 6874 for `[fe80::1%25eth0]`.
class URL {
 public:
  URL(const std::string& text);
  URL(const char* text) : URL{std::string{text}} {}
  /// Of the machine that the command runs on: `{spawned_host, 7000, "/health"}`. The path begins
  /// with a slash, and may have a query.
  URL(Host::Spawned host, Port port, const std::string& path = "/")
      : URL{host, port, path, "http"} {}

  [[nodiscard]] const Host& host() const noexcept { return host_; }
  [[nodiscard]] Port port() const noexcept { return port_; }
  /// The path and the query, as they stand in a request.
  [[nodiscard]] const std::string& target() const noexcept { return target_; }
  /// As it was given.
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 protected:
  /// Of another scheme: "https".
  URL(const std::string& text, const char* scheme, std::uint16_t default_port);
  URL(Host::Spawned host, Port port, const std::string& path, const std::string& scheme);

 private:
  explicit URL(const detail::URLParts& parts);

  std::string text_;
  Host host_;
  Port port_;
  std::string target_;
};

/// The accepted status codes: a number, or a regular expression that matches the whole code
/// ("(2|4)\\d\\d"). Throws `std::invalid_argument` for an expression that no code can match, and
/// for a wrong one: text/pattern.hpp has the syntax.
class StatusPattern {
 public:
  /// Any 2xx.
  StatusPattern();
  StatusPattern(int code) : StatusPattern{std::to_string(code)} {}
  StatusPattern(const std::string& pattern);
  StatusPattern(const char* pattern) : StatusPattern{std::string{pattern}} {}

  [[nodiscard]] bool matches(int code) const {
    return code >= 100 && code <= 999 && codes_[static_cast<std::size_t>(code)];
  }

 private:
  std::bitset<1000> codes_;
};

/// A request method: any token. Throws `std::invalid_argument` for any other text.
class Method {
 public:
  Method(std::string name);
  Method(const char* name) : Method{std::string{name}} {}

  [[nodiscard]] const std::string& str() const noexcept { return name_; }

 private:
  std::string name_;
};

/// The body of a request: the fields of a form, or a text that is sent as it is.
class Payload {
 public:
  using Fields = std::initializer_list<std::pair<std::string, std::string>>;

  Payload() = default;
  /// A form, encoded as application/x-www-form-urlencoded. Source: WHATWG URL, 5.2.
  Payload(Fields fields);
  /// A text; its Content-Type is text/plain unless the headers say another.
  Payload(std::string text) : body_{std::move(text)}, content_type_{"text/plain; charset=utf-8"} {}
  Payload(const char* text) : Payload{std::string{text}} {}

  [[nodiscard]] const std::string& body() const noexcept { return body_; }
  /// Empty when there is no body.
  [[nodiscard]] const std::string& content_type() const noexcept { return content_type_; }

 private:
  std::string body_, content_type_;
};

/// Headers in the order given; they replace the check's own. Throws `std::invalid_argument` for a
/// name that is no token, and for a value with a control character.
class Headers {
 public:
  using Field = std::pair<std::string, std::string>;

  Headers() = default;
  Headers(std::initializer_list<Field> fields) : Headers{std::vector<Field>{fields}} {}
  Headers(std::vector<Field> fields);

  [[nodiscard]] const std::vector<Field>& fields() const noexcept { return fields_; }
  /// True when there is a header of this name; case does not matter.
  [[nodiscard]] bool has(std::string_view name) const;

 private:
  std::vector<Field> fields_;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/http/request.ipp>
#endif
