// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <dirent.h>
#include <sys/stat.h>
#include <csignal>
#include <fstream>
#include <memory>
#include <sstream>

#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/os/uuid.hpp>
#include <mirakuru/spawn/cgroup.hpp>

namespace mirakuru {

namespace detail {

// Source: cgroups(7), proc_pid_mountinfo(5).
MIRAKURU_DECL std::string own_cgroup() {
  std::string line, group;
  for (std::ifstream groups{"/proc/self/cgroup"}; std::getline(groups, line);)
    if (line.starts_with("0::")) group = line.substr(3);
  for (std::ifstream mounts{"/proc/self/mountinfo"}; std::getline(mounts, line);) {
    if (line.find(" - cgroup2 ") == std::string::npos) continue;
    std::istringstream fields{line};
    std::string id, parent, device, root, point;
    fields >> id >> parent >> device >> root >> point;
    if (root != "/" && group.starts_with(root)) group.erase(0, root.size());
    return point + (group == "/" ? "" : group);
  }
  throw_error(ENOTSUP, "no cgroup v2 is mounted");
}

inline constexpr char group_prefix[] = "/mirakuru-";

/// Removes the empty groups of owners that were killed between the making of a group and the start
/// of its guardian.
inline void remove_orphans(const std::string& above) {
  const std::unique_ptr<DIR, int (*)(DIR*)> groups{::opendir(above.c_str()), ::closedir};
  const std::string_view prefix{group_prefix + 1};
  while (const dirent* const entry = groups ? ::readdir(groups.get()) : nullptr) {
    if (!std::string_view{entry->d_name}.starts_with(prefix)) continue;
    const pid_t owner = std::atoi(entry->d_name + prefix.size());
    if (owner > 0 && ::kill(owner, 0) != 0 && errno == ESRCH)
      ::rmdir((above + '/' + entry->d_name).c_str());
  }
}

}  // namespace detail

MIRAKURU_DECL GuardedProcess CgroupSpawner::spawn(const LaunchRequest& request) const {
  auto exec = local_exec(request);
  const auto above = parent.empty() ? detail::own_cgroup() : parent;
  detail::remove_orphans(above);
  const auto path =
      above + detail::group_prefix + std::to_string(::getpid()) + '-' + detail::make_uuid();
  detail::Cgroup group{.path = path};
  if (::mkdir(path.c_str(), 0755) != 0)
    detail::throw_error(errno, "no cgroup can be made in " + above);
  try {
    const auto open = [&](const std::string& name, int flags) {
      detail::UniqueFd file{::open((path + name).c_str(), flags | O_CLOEXEC)};
      if (!file) detail::throw_error(errno, "the cgroup in " + above + " has no " + name);
      return detail::move_above_stdio(std::move(file));
    };
    group.directory = open("/", O_RDONLY | O_DIRECTORY);
    group.kill = open("/cgroup.kill", O_WRONLY);
    return GuardedProcess::make(request, std::move(exec), std::move(group));
  } catch (...) {
    ::rmdir(path.c_str());
    throw;
  }
}

}  // namespace mirakuru
