// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <string>
#include <system_error>

#include <mirakuru/os/config.hpp>

// The phrases of messages: a duration, the end of a process, an error code.

namespace mirakuru::detail {

/// A duration in seconds or milliseconds, rounded to three digits: "3600 s", "1.5 s", "20 ms".
[[nodiscard]] std::string to_text(std::chrono::nanoseconds duration);
/// The end of a process as text: "exited with a non-zero code: 3", "ended by signal 9 (Killed)".
[[nodiscard]] std::string exit_headline(int exit_code);
/// The message of an error code, with a small first letter: "connection refused".
[[nodiscard]] std::string reason_text(const std::error_code& code);

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/text/phrases.ipp>
#endif
