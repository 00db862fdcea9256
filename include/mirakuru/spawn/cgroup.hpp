// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include <mirakuru/process.hpp>
#include <mirakuru/spawn/guarded.hpp>

namespace mirakuru {

/// A guardian, and a control group of the command's own below it.
///
/// Everything that `GuardedSpawner` promises holds; besides, the kernel ends the whole tree in one
/// step, so that not even a tree that forks faster than it can be looked at gets away. The command
/// is made inside its group, which is verified before it is executed.
///
/// For where cgroup v2 can be written: as root, or in a delegated group (`systemd-run --user`).
/// Rests on `CLONE_INTO_CGROUP` and `cgroup.kill`: Linux 5.14.
struct CgroupSpawner {
  static constexpr Guarantee guarantee = Guarantee::tree_ends_with_owner;

  /// The directory to make the group in; empty for that of this process's own group.
  std::string parent = {};

  /// Throws `std::system_error` with the reason when there is no group to be had, or the program
  /// cannot be executed.
  [[nodiscard]] GuardedProcess spawn(const LaunchRequest& launch) const;
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
