// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/ready/per_start.hpp>
#include <mirakuru/ready/probe.hpp>
#include <mirakuru/spawn/launch.hpp>

namespace mirakuru {

/// The number of a descriptor beyond the standard streams: 3 to 1000, as a process may have 1024 of
/// them by default.
class FdNumber {
 public:
  static constexpr int most = 1000;

  /// Throws `std::invalid_argument` for a number out of the range.
  FdNumber(int number);

  [[nodiscard]] int get() const noexcept { return number_; }

 private:
  int number_;
};

namespace detail {

/// A pipe's end here, and the things that have come out of it.
struct FdRun {
  UniqueFd reading = {};
  bool ready = false;
  std::string text = {};                   // the begin of the line
  TimePoint closed_at = TimePoint::max();  // when all others have closed it

  /// Takes bytes, up to the end of the line.
  void take(std::string_view bytes);
  /// The begin of the line, as the last answer.
  [[nodiscard]] std::string reason() const;
};

}  // namespace detail

/// Ready when the service writes a line to a descriptor that it inherits, as services of s6 do:
/// `echo >&3`. The bytes before the newline may be anything, and are the reason until it comes.
///
/// The start fails at once when all of the tree has closed the descriptor without a newline. No
/// other process inherits it. Later output to it is not read, and up to 64 kB of it hinder nobody.
/// Rests on a pipe. Source: s6's notifywhenup.
struct FdCheck {
  static constexpr bool looks_here = true;
  static constexpr bool needs_preparation = true;

  FdNumber fd = 3;

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const;
  /// Says after a time-out if nothing has come.
  [[nodiscard]] std::string hint(const Process& process) const;
  /// Called before the spawn: makes the pipe. Throws `std::invalid_argument` if the command has
  /// another descriptor of this number, and `std::system_error`.
  void prepare(LaunchRequest& request) const;
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const;

  detail::PerStart<detail::FdRun> run = {};  ///< the pipe of one start
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/notification/fd.ipp>
#endif
