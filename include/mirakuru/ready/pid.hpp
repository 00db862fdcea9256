// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include <mirakuru/detail/config.hpp>
#include <mirakuru/detail/file_name.hpp>

namespace mirakuru {

class Process;
namespace detail {
class Race;
enum class Attempt;
}  // namespace detail

/// Ready when a pid file is there. Its directory need not exist at the start.
///
/// A file that is there before the start is `AlreadyRunning`, and the message says whether its
/// process lives. Rests on inotify.
struct PidCheck {
  FileName path;
  /// True: the file must hold the id of a process that lives.
  bool alive = false;

  /// What is waited for, as an executor's messages say it.
  [[nodiscard]] std::string describe() const;
  /// True when the file is there now.
  [[nodiscard]] bool held() const;
  /// That the file is there, and whether its process lives.
  [[nodiscard]] std::string describe_holder() const;
};

namespace detail {

/// Enters the wait for the file into `race`.
Attempt enter(Race& race, const PidCheck* check, const Process& process);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/impl/pid.ipp>
#endif
