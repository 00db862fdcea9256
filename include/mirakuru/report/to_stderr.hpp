// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/os/config.hpp>
#include <mirakuru/report/event.hpp>

namespace mirakuru {

/// The default reporter: a line to standard error for each event that a user has to see. It says
/// nothing as long as nothing is slow or wrong.
///
/// A line begins with "mirakuru: ". With `MIRAKURU_LOG=verbose` in the environment (or `debug`,
/// `1`, `true`) there is a line for each step too, and with `MIRAKURU_LOG=silent` (or `off`, `0`,
/// `none`) there is none at all. Small and capital letters are alike. Any other value is told once.
/// Rests on one `write` a line.
struct ReportToStderr {
  /// True if the environment asks for steps.
  [[nodiscard]] bool wants_steps() const noexcept;
  /// Prints the event.
  void operator()(const Event& event) const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/report/to_stderr.ipp>
#endif
