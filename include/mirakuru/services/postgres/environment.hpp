// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>
#include <string>
#include <string_view>

#include <mirakuru/command.hpp>
#include <mirakuru/os/config.hpp>

namespace mirakuru::detail {

/// The environment of PostgreSQL's programs: that of the test, without the settings for libpq.
[[nodiscard]] inline Environment postgres_environment() {
  Environment changes{{"LC_ALL", "C"}, {"TZ", "UTC"}};
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text{*variable};
    if (text.starts_with("PG")) changes[std::string{text.substr(0, text.find('='))}] = unset;
  }
  return changes;
}

}  // namespace mirakuru::detail
