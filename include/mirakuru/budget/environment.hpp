// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include <mirakuru/os/config.hpp>

namespace mirakuru::detail {

/// Reads a time: "500ms", "20s", "2min" or "1h"; a plain number is seconds. Too long a time is the
/// longest there is. None for another text.
[[nodiscard]] std::optional<std::chrono::nanoseconds> read_time(std::string_view text);

/// The time in the environment's `MIRAKURU_START_TIMEOUT`; none if it is missing or empty. Throws
/// `std::invalid_argument` if it is no time.
[[nodiscard]] std::optional<std::chrono::nanoseconds> start_timeout_of_environment();

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/budget/environment.ipp>
#endif
