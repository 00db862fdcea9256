// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/spawn/launch.hpp>

// The guardian of a command on another machine: a POSIX shell, with nothing installed there.

namespace mirakuru::detail {

/// One line of a shell that reads its program from the first line of its standard input. It has
/// nothing to quote, so any login shell hands it on.
inline constexpr char far_shell[] = R"sh(IFS= read -r mk_s && eval "$(printf %b "$mk_s")")sh";

/// The name of a job or a container, for the service with an id: one for each executor.
[[nodiscard]] std::string unit_name(const std::string& id);

/// True unless a command's standard input is none or /dev/null.
[[nodiscard]] bool reads_input(int fd);

/// Puts a far guardian above the command of `request`. The result runs `words`, which lead to
/// `far_shell` on another machine: `place`, for messages. `host` is an expression of the shell for
/// that machine's name.
///
/// Directory, environment, umask, limits and clean-up commands go there. A command that has a far
/// guardian already, as with Slurm over ssh, gets one that hands on the orders to it.
///
/// The far guardian ends the command's process group when its standard input ends, and when it
/// hears nothing for 10 s: by the strategy's signals, then by SIGKILL. It does so with each process
/// that has the command's environment. It needs sh with sleep, date, cat, grep, setsid, env and
/// uname there, timeout for clean-up commands, mktemp and mkfifo where /proc is not mounted, and
/// Linux for processes that have left the group. Where grep is busybox's it needs head, tr and awk
/// for those.
///
/// Throws `SpawnFailure` for things that it cannot carry: a user, a terminal, further descriptors,
/// and limits that `ulimit` does not know.
[[nodiscard]] LaunchRequest below_far_guardian(LaunchRequest request,
                                               std::vector<std::string> words,
                                               const std::string& place,
                                               const std::string& host = "$(uname -n)");

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/far/far_guardian.ipp>
#endif
