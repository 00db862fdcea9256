// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/random.h>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include <mirakuru/detail/uuid.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL std::string make_uuid() {
  unsigned char bytes[16];
  // Up to 256 bytes come whole, and the call is not interrupted: getrandom(2).
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
    throw std::system_error{errno, std::generic_category(), "getrandom"};
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
  std::string text;
  for (int i = 0; i < 16; ++i) {
    char pair[3];
    std::snprintf(pair, sizeof pair, "%02x", static_cast<unsigned>(bytes[i]));
    text += (i == 4 || i == 6 || i == 8 || i == 10) ? std::string{"-"} + pair : pair;
  }
  return text;
}

}  // namespace mirakuru::detail
