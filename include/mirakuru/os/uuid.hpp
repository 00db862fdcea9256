// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/random.h>
#include <string>

#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru::detail {

/// Makes a random UUID, version 4, as text. Throws `std::system_error`. Rests on `getrandom`.
/// Source: RFC 9562, 5.4.
[[nodiscard]] inline std::string make_uuid() {
  unsigned char bytes[16];
  // getrandom(2) returns up to 256 bytes at once, and no signal interrupts it.
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes) throw_errno("getrandom");
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
  std::string text(36, '-');
  char* at = text.data();
  for (int i = 0; i < 16; ++i) {
    constexpr char digits[] = "0123456789abcdef";
    if (i == 4 || i == 6 || i == 8 || i == 10) ++at;
    *at++ = digits[bytes[i] >> 4];
    *at++ = digits[bytes[i] & 0x0f];
  }
  return text;
}

}  // namespace mirakuru::detail
