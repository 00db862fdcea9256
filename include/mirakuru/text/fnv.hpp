// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string_view>

namespace mirakuru::detail {

/// FNV-1a: the same number in each program, whichever library has compiled it.
[[nodiscard]] constexpr std::uint64_t fnv(std::string_view text,
                                          std::uint64_t hash = 0xcbf29ce484222325) noexcept {
  for (const char byte : text) {
    hash ^= static_cast<unsigned char>(byte);
    hash *= 0x100000001b3;
  }
  return hash;
}

}  // namespace mirakuru::detail
