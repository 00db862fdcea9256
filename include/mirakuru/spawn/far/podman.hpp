// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/spawn/guarded.hpp>

namespace mirakuru {

/// Runs the command in a container: `Podman{.image = "nginx", .ports = {{8080, 80}}}`.
///
/// `podman run` stays in the foreground, and hands on output, input and signals. Added variables
/// and the directory are the container's; nothing else of this process's environment goes there.
/// The guardian removes the container by its name, before SIGKILL and at the end, whatever happens.
/// If the guardian is killed, the container may stay.
///
/// An end by a signal has the exit code 128 plus its number, and 125 is an error of Podman itself.
/// The first process of a container ignores a signal that it has no handler for; the option
/// `--init` helps. An `ExecCheck` runs in the container. `pid()` is the local podman. Words and
/// variables are UTF-8, as the engine changes other bytes.
///
/// `.program = "docker"` takes the same words. Rests on podman-run(1), podman-exec(1),
/// podman-rm(1).
struct Podman {
  static constexpr Guarantee guarantee = Guarantee::engine_ends_it;
  static constexpr bool runs_here = false;

  std::string image = {};   ///< a name with a tag; or else there is `rootfs`
  std::string rootfs = {};  ///< a directory with a root file system; "DIR:O" stays unchanged
  std::vector<std::pair<std::uint16_t, std::uint16_t>> ports = {};  ///< here, and in there
  std::vector<std::pair<std::string, std::string>> volumes = {};    ///< here, and in there
  std::vector<std::string> options = {};  ///< further words for `podman run`
  std::string program = "podman";

  /// The request that runs podman. Throws `SpawnFailure` for one that no container can fulfil, and
  /// `std::invalid_argument` without an image or root file system, and with both.
  [[nodiscard]] LaunchRequest launch(LaunchRequest request) const;
  /// The request for a run in the container of the service with this id.
  [[nodiscard]] LaunchRequest beside(LaunchRequest request, const std::string& id) const;
  /// Starts podman, and returns when that is executed. Throws as `GuardedSpawner` does.
  [[nodiscard]] GuardedProcess spawn(const LaunchRequest& request) const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/far/podman.ipp>
#endif
