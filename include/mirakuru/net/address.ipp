// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <arpa/inet.h>
#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <utility>

#include <mirakuru/net/address.hpp>
#include <mirakuru/os/printable.hpp>

namespace mirakuru {

namespace detail {

/// True for a text that a resolver may know: RFC 1035, 2.3.4, with underscores, and with characters
/// beyond ASCII as they are.
[[gnu::cold]] inline bool is_host_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  bool digits = true, ascii = true;
  std::size_t label = 0;
  for (const char c : name) {
    if (c == '.' && label == 0) return false;
    label = c == '.' ? 0 : label + 1;
    digits &= is_digit(c) || c == '.';
    ascii &= !is_beyond_ascii(c);
    if (!is_word(c) && c != '-' && c != '.' && !is_beyond_ascii(c)) return false;
    if (ascii && label > 63) return false;
  }
  // Blanks and marks of direction, which nobody sees in a name.
  for (const std::string_view odd :
       {"\xc2\xa0", "\xc2\xad", "\xe3\x80\x80", "\xef\xbb\xbf", "\xe2\x80", "\xe2\x81"})
    if (name.find(odd) != std::string_view::npos) return false;
  in_addr parsed{};
  // A short form like 127.1 is an address, too.
  return label > 0 && name.size() <= 253 &&
         (!digits || ::inet_aton(std::string{name}.c_str(), &parsed) != 0);
}

}  // namespace detail

MIRAKURU_DECL Host::Host(std::string name) : name_{std::move(name)} {
  const bool bracketed = name_.size() > 2 && name_.front() == '[' && name_.back() == ']';
  if (bracketed) name_ = name_.substr(1, name_.size() - 2);
  in6_addr parsed{};
  const bool colon = name_.find(':') != std::string::npos;
  const auto zone = name_.find('%');
  const bool odd_zone =
      zone != std::string::npos &&
      (zone + 1 == name_.size() ||
       std::any_of(name_.begin() + static_cast<std::ptrdiff_t>(zone), name_.end(), [](char c) {
         return !detail::is_graphic(c) ||
                std::string_view{"/[]@"}.find(c) != std::string_view::npos;
       }));
  const bool is_v6 =
      colon && !odd_zone && ::inet_pton(AF_INET6, name_.substr(0, zone).c_str(), &parsed) == 1;
  if (!is_v6 && (bracketed || !detail::is_host_name(name_)))
    throw std::invalid_argument{"not a host name or an address: '" + detail::one_line(name_) + "'"};
}

MIRAKURU_DECL std::uint16_t Port::checked(long long number) {
  if (number < 0 || number > 65535)
    throw std::invalid_argument{"a port is 0 to 65535, not " + std::to_string(number)};
  return static_cast<std::uint16_t>(number);
}

namespace detail {

MIRAKURU_DECL std::string authority(const std::string& host, std::uint16_t port) {
  const bool is_v6 = host.find(':') != std::string::npos;
  std::string text = is_v6 ? "[" : "";
  text.append(host).append(is_v6 ? "]:" : ":");
  return text.append(std::to_string(port));
}

}  // namespace detail
}  // namespace mirakuru
