// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <bitset>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mirakuru/address.hpp>
#include <mirakuru/detail/config.hpp>
#include <mirakuru/ready/tcp.hpp>

namespace mirakuru {

/// An `http` URL: `http://host[:port][/path][?query]`; the port is 80 if none is given.
///
/// Throws `std::invalid_argument` for one without a host, another scheme (there is no TLS), a user
/// name, a blank or a control character. A fragment is left out. Source: RFC 3986, 3.
class URL {
 public:
  URL(const std::string& text);                      // NOLINT(*-explicit-*)
  URL(const char* text) : URL{std::string{text}} {}  // NOLINT(*-explicit-*)

  [[nodiscard]] const Host& host() const noexcept { return host_; }
  [[nodiscard]] Port port() const noexcept { return port_; }
  /// The path and the query, as they stand in a request.
  [[nodiscard]] const std::string& target() const noexcept { return target_; }
  /// As it was given.
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
  Host host_;
  Port port_;
  std::string target_;
};

/// The status codes that are an answer: a number, or a regular expression that has to match the
/// whole code ("(2|4)\\d\\d"). Throws `std::invalid_argument` for one that no code can match, and
/// for a wrong expression: detail/pattern.hpp has the syntax.
class StatusPattern {
 public:
  /// Any 2xx.
  StatusPattern();
  StatusPattern(int code) : StatusPattern{std::to_string(code)} {}  // NOLINT(*-explicit-*)
  StatusPattern(const std::string& pattern);                        // NOLINT(*-explicit-*)
  StatusPattern(const char* pattern)
      : StatusPattern{std::string{pattern}} {}  // NOLINT(*-explicit-*)

  [[nodiscard]] bool matches(int code) const {
    return code >= 100 && code <= 999 && codes_[static_cast<std::size_t>(code)];
  }

 private:
  std::bitset<1000> codes_;
};

/// A request method: any token. Throws `std::invalid_argument` for what is none.
class Method {
 public:
  Method(std::string name);                                // NOLINT(*-explicit-*)
  Method(const char* name) : Method{std::string{name}} {}  // NOLINT(*-explicit-*)

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
  Payload(std::string text)  // NOLINT(*-explicit-*)
      : body_{std::move(text)}, content_type_{"text/plain; charset=utf-8"} {}
  Payload(const char* text) : Payload{std::string{text}} {}  // NOLINT(*-explicit-*)

  [[nodiscard]] const std::string& body() const noexcept { return body_; }
  /// Empty when there is no body.
  [[nodiscard]] const std::string& content_type() const noexcept { return content_type_; }

 private:
  std::string body_, content_type_;
};

/// Headers in the order given; they replace those that the check would send itself.
/// Throws `std::invalid_argument` for a name that is no token and a value with a control character.
class Headers {
 public:
  using Field = std::pair<std::string, std::string>;

  Headers() = default;
  Headers(std::initializer_list<Field> fields) : Headers{std::vector<Field>{fields}} {}
  Headers(std::vector<Field> fields);  // NOLINT(*-explicit-*)

  [[nodiscard]] const std::vector<Field>& fields() const noexcept { return fields_; }
  /// True when there is a header of this name, in whatever case.
  [[nodiscard]] bool has(std::string_view name) const;

 private:
  std::vector<Field> fields_;
};

/// Ready when the URL answers with the status.
///
/// The status line and the headers count; the body is not waited for. Redirects are not followed.
/// Each attempt has a connection of its own and a time limit, whatever the server does. Something
/// that accepts on the URL's port before the start is `AlreadyRunning`. Source: RFC 9110, RFC 9112;
/// the answer is parsed by llhttp.
struct HTTPCheck {
  URL url;
  StatusPattern status = {};
  Method method = "HEAD";
  Payload payload = {};
  Headers headers = {};

  /// What is waited for, as an executor's messages say it.
  [[nodiscard]] std::string describe() const;
  /// That the port answers, and whose it is where /proc tells.
  [[nodiscard]] std::string describe_holder() const {
    return static_cast<TCPCheck>(*this).describe_holder();
  }

  /// The port that must be open before the URL can answer.
  operator TCPCheck() const { return {url.host(), url.port()}; }  // NOLINT(*-explicit-*)
};

namespace detail {

/// Enters one attempt of the check into `race`.
Entry enter(Race& race, const HTTPCheck* check, const Process& process);
/// Enters a look at the port, before the start.
Entry enter_look(Race& race, const HTTPCheck* check);
/// The request, whole.
[[nodiscard]] std::string request_text(const HTTPCheck& check);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/impl/http.ipp>
#endif
