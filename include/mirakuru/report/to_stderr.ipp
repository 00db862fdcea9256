// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>
#include <cstdlib>
#include <string_view>

#include <mirakuru/os/pipe_signal_blocked.hpp>
#include <mirakuru/report/to_stderr.hpp>

namespace mirakuru {

namespace detail {

/// The value of MIRAKURU_LOG; empty if there is none.
inline std::string_view log_switch() noexcept {
  const char* const value = ::getenv("MIRAKURU_LOG");
  return value == nullptr ? std::string_view{} : value;
}

}  // namespace detail

MIRAKURU_DECL bool ReportToStderr::wants_steps() const noexcept {
  return detail::log_switch() == "verbose";
}

MIRAKURU_DECL void ReportToStderr::operator()(const Event& event) const {
  if (detail::log_switch() == "silent" || !(is_news(event) || wants_steps())) return;
  const auto line = "mirakuru: " + line_of(event) + '\n';
  const detail::PipeSignalBlocked blocked;  // nobody may read it any more
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace mirakuru
