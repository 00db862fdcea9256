// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include <mirakuru/os/config.hpp>
#include <mirakuru/spawn/guarded.hpp>
#include <mirakuru/spawn/launch.hpp>

namespace mirakuru {

/// Starts a command below a guardian, as `GuardedSpawner` does, and in a control group of its own.
///
/// The kernel kills the whole tree in one step, so even a tree that forks without end cannot
/// escape. The command is created inside its group, and verifies that before it is executed.
///
/// For places where cgroup v2 is writable: as root, or in a delegated group (`systemd-run --user`).
/// Rests on `CLONE_INTO_CGROUP` and `cgroup.kill`: Linux 5.14.
struct CgroupSpawner {
  static constexpr Guarantee guarantee = Guarantee::tree_ends_with_owner;

  /// The directory in which to make the group; empty: the one of this process's own group.
  std::string parent = {};

  /// Starts the command and returns when it is executed. Throws `SpawnFailure` if the program or
  /// the directory cannot be used. Throws `std::system_error` with the reason if no group can be
  /// made.
  [[nodiscard]] GuardedProcess spawn(const LaunchRequest& request) const;
};

namespace detail {

/// The directory of this process's own group. Throws `std::system_error` if no cgroup v2 is
/// mounted.
[[nodiscard]] std::string own_cgroup();

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/cgroup.ipp>
#endif
