// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <charconv>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include <mirakuru/budget/environment.hpp>
#include <mirakuru/os/printable.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL std::optional<std::chrono::nanoseconds> read_time(std::string_view text) {
  using std::chrono::nanoseconds;
  unsigned long long number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::invalid_argument) return {};
  const auto unit = text.substr(static_cast<std::size_t>(end - text.data()));
  const nanoseconds one = unit == "ms"                ? std::chrono::milliseconds{1}
                          : unit == "s" || unit == "" ? std::chrono::seconds{1}
                          : unit == "min"             ? std::chrono::minutes{1}
                          : unit == "h"               ? std::chrono::hours{1}
                                                      : nanoseconds{0};
  if (one == nanoseconds{0}) return {};
  const auto most = static_cast<unsigned long long>(nanoseconds::max() / one);
  if (error != std::errc{} || number > most) return nanoseconds::max();
  return one * static_cast<nanoseconds::rep>(number);
}

MIRAKURU_DECL std::optional<std::chrono::nanoseconds> start_timeout_of_environment() {
  const char* const value = ::getenv("MIRAKURU_START_TIMEOUT");
  if (value == nullptr || *value == '\0') return {};
  const auto time = read_time(value);
  if (!time)
    throw std::invalid_argument{"MIRAKURU_START_TIMEOUT is no time: '" + one_line(value) +
                                "'; write 500ms, 20s, 2min or 1h"};
  return time;
}

}  // namespace mirakuru::detail
