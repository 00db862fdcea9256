// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/spawn/guarded.hpp>

namespace mirakuru {

/// Runs the command on another machine through ssh: `Ssh{.host = "node7"}`.
///
/// Words, added variables, directory, umask and limits go there; the other variables and the
/// directory of a command without one are those of the login. Output, input, exit code and signals
/// are as here. A directory and a program are looked up there. `pid()` is the local ssh.
///
/// The command runs below a POSIX shell there, and nothing is installed. When the connection ends,
/// or says nothing for 10 s, that shell ends the process group by the strategy's signals and
/// SIGKILL. So it does with the processes that still have the command's environment. `stop()` and
/// the owner's death end the same ones. If that shell is killed, they stay.
///
/// An exit code of 129 to 192 counts as the end by a signal, as in any shell. The first lines of
/// standard error are ssh's own, such as its warnings.
///
/// A user of the command, a terminal and descriptors cannot go there. Rests on ssh(1), and there on
/// sh, setsid, env, uname, date, sleep, cat and grep.
struct Ssh {
  static constexpr Guarantee guarantee = Guarantee::far_group_ends_with_connection;
  static constexpr bool runs_here = false, executes_later = true;

  std::string host;       ///< a name that ssh knows: of a machine, or of its configuration
  std::string user = {};  ///< empty: as ssh is configured
  /// Further words for ssh, such as {"-p", "2222"}. They come before the library's own options, so
  /// they win: BatchMode=yes, ServerAliveInterval=2, ControlMaster=no, LogLevel=ERROR.
  std::vector<std::string> options = {};
  std::string program = "ssh";

  /// The request that runs ssh. Throws `SpawnFailure` for one that cannot go there.
  [[nodiscard]] LaunchRequest launch(LaunchRequest request) const;
  /// Starts ssh, and returns when that is executed. Throws as `GuardedSpawner` does.
  [[nodiscard]] GuardedProcess spawn(const LaunchRequest& request) const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/far/ssh.ipp>
#endif
