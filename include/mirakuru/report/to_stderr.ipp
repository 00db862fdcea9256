// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>
#include <atomic>
#include <cstdlib>
#include <string>
#include <string_view>

#include <mirakuru/os/ascii.hpp>
#include <mirakuru/os/printable.hpp>
#include <mirakuru/os/signals_blocked.hpp>
#include <mirakuru/report/observer.hpp>
#include <mirakuru/report/to_stderr.hpp>

namespace mirakuru {

namespace detail {

enum class LogLevel { news, steps, none };

/// Prints a line to the observer, else to standard error, where nobody may read it any more.
[[gnu::cold]] inline void print_line(const std::string& text) {
  auto line = "mirakuru: " + text;
  auto* const all = observer.load(std::memory_order_acquire);
  if (all != nullptr && all->print(line)) return;
  line += '\n';
  const PipeSignalBlocked blocked;
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

/// The wish of MIRAKURU_LOG. Tells once of a value that is none.
inline LogLevel log_level() {
  const char* const variable = ::getenv("MIRAKURU_LOG");
  const std::string_view value = variable == nullptr ? "" : variable;
  const auto is = [value](std::string_view word) { return equal_but_for_case(value, word); };
  if (is("verbose") || is("debug") || is("1") || is("true")) return LogLevel::steps;
  if (is("silent") || is("off") || is("0") || is("none")) return LogLevel::none;
  static std::atomic<bool> told = false;
  if (!value.empty() && !told.exchange(true))
    print_line("MIRAKURU_LOG is verbose or silent, not '" + one_line(value) + '\'');
  return LogLevel::news;
}

}  // namespace detail

MIRAKURU_DECL bool ReportToStderr::wants_steps() const noexcept try {
  return detail::log_level() == detail::LogLevel::steps;
} catch (...) {  // no memory for a line
  return false;
}

[[gnu::cold]] MIRAKURU_DECL void ReportToStderr::operator()(const Event& event) const {
  const auto level = detail::log_level();
  if (level == detail::LogLevel::steps || (is_news(event) && level == detail::LogLevel::news))
    detail::print_line(line_of(event));
}

}  // namespace mirakuru
