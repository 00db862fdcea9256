// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdio>

#include <mirakuru/os/ascii.hpp>
#include <mirakuru/os/printable.hpp>
#include <mirakuru/ready/http/request.hpp>
#include <mirakuru/text/pattern_parser.hpp>
#include <mirakuru/text/pattern_search.hpp>

namespace mirakuru {

namespace detail {

/// A token of RFC 9110, 5.6.2.
inline bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return is_letter_or_digit(c) ||
           std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos;
  });
}

/// "%" and two digits.
inline std::string percent_encoded(char c) {
  char text[4];
  std::snprintf(text, sizeof text, "%%%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
  return text;
}

/// The parts of a URL. Their form is checked, and no more.
struct URLParts {
  URLParts(const std::string& url, const std::string& scheme, std::uint16_t default_port)
      : text{url}, port{default_port} {
    const auto refuse = [&](const std::string& why) {
      throw std::invalid_argument{"the URL '" + one_line(text) + "' " + why};
    };
    if (std::ranges::any_of(text, [](char c) { return c == ' ' || is_control(c); }))
      refuse("has a blank or a control character in it");
    const auto begins = [this](std::string_view with) {
      return equal_but_for_case(std::string_view{text}.substr(0, with.size()), with);
    };
    if (begins("https://") && scheme == "http")
      refuse("asks for TLS; take HTTPSCheck of <mirakuru/tls.hpp>");
    if (!begins(scheme + "://")) refuse("does not begin with " + scheme + "://");
    const auto begin = scheme.size() + 3;
    const auto end = std::min(text.find_first_of("/?#", begin), text.size());
    const auto authority = text.substr(begin, end - begin);
    if (authority.find('@') != std::string::npos)
      refuse("has a user name in it; give an Authorization header instead");
    const auto colon = authority.find(':', authority.starts_with('[') ? authority.find(']') : 0);
    host = authority.substr(0, colon);
    if (host.empty()) refuse("has no host");
    // RFC 6874: a URL has the percent sign before an interface as %25.
    if (const auto zone = host.find('%'); host.starts_with('[') && host.find("%25") == zone)
      host.erase(std::min(zone, host.size() - 1) + 1, zone == std::string::npos ? 0 : 2);
    if (colon != std::string::npos && colon + 1 < authority.size()) {
      const auto digits = authority.substr(colon + 1);
      if (digits.find_first_not_of("0123456789") != std::string::npos)
        refuse("has a port that is no number");
      constexpr int too_much = 1'000'000'000;
      port = 0;
      for (const char digit : digits) port = std::min(port, too_much / 10) * 10 + (digit - '0');
      if (port >= too_much) refuse("has a port above 65535");
    }
    // RFC 3986 allows none of these bytes in a request.
    for (const char c : text.substr(end, text.find('#', end) - end)) {
      if (is_beyond_ascii(c) || std::string_view{"\"<>\\^`{|}"}.find(c) != std::string_view::npos)
        target += percent_encoded(c);
      else
        target += c;
    }
    if (!target.starts_with('/')) target.insert(0, 1, '/');
  }

  std::string text, host, target;
  int port;
};

}  // namespace detail

MIRAKURU_DECL URL::URL(const std::string& text) : URL{text, "http", 80} {}
MIRAKURU_DECL URL::URL(const std::string& text, const char* scheme, std::uint16_t default_port)
    : URL{detail::URLParts{text, scheme, default_port}} {}
MIRAKURU_DECL URL::URL(Host::Spawned host, Port port, const std::string& path,
                       const std::string& scheme)
    : URL{detail::URLParts{scheme + "://there:" + std::to_string(port) + path, scheme, port}} {
  host_ = host;
  text_ = scheme + "://" + detail::authority(host_, port_) + target_;
}
MIRAKURU_DECL URL::URL(const detail::URLParts& parts)
    : text_{parts.text}, host_{parts.host}, port_{parts.port}, target_{parts.target} {}

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
  if (codes_.none())
    throw std::invalid_argument{"no status code matches '" + detail::one_line(pattern) + "'"};
}

MIRAKURU_DECL Method::Method(std::string name) : name_{std::move(name)} {
  if (!detail::is_token(name_))
    throw std::invalid_argument{"not a method: '" + detail::one_line(name_) + "'"};
}

MIRAKURU_DECL Payload::Payload(Fields fields) : content_type_{"application/x-www-form-urlencoded"} {
  const auto encode = [this](const std::string& text) {
    for (const char c : text) {
      if (c == ' ')
        body_ += '+';
      else if (detail::is_letter_or_digit(c) ||
               std::string_view{"*-._"}.find(c) != std::string_view::npos)
        body_ += c;
      else
        body_ += detail::percent_encoded(c);
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
    if (!detail::is_token(name) ||
        std::ranges::any_of(value, [](char c) { return c != '\t' && detail::is_control(c); }))
      throw std::invalid_argument{"invalid header name or value: '" + detail::one_line(name) + "'"};
}

MIRAKURU_DECL bool Headers::has(std::string_view name) const {
  return std::ranges::any_of(
      fields_, [&](const Field& field) { return detail::equal_but_for_case(field.first, name); });
}

}  // namespace mirakuru
