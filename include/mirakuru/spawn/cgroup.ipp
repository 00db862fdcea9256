// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>
#include <fstream>
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

}  // namespace detail

MIRAKURU_DECL GuardedProcess CgroupSpawner::spawn(const LaunchRequest& request) const {
  auto exec = local_exec(request);
  const auto above = parent.empty() ? detail::own_cgroup() : parent;
  detail::Cgroup group{.path = above + "/mirakuru-" + detail::make_uuid()};
  if (::mkdir(group.path.c_str(), 0755) != 0)
    detail::throw_error(errno, "no cgroup can be made in " + above);
  try {
    const auto open = [&](const std::string& name, int flags) {
      detail::UniqueFd file{::open((group.path + name).c_str(), flags | O_CLOEXEC)};
      if (!file) detail::throw_error(errno, "the cgroup in " + above + " has no " + name);
      return detail::move_above_stdio(std::move(file));
    };
    group.directory = open("/", O_RDONLY | O_DIRECTORY);
    group.kill = open("/cgroup.kill", O_WRONLY);
    return GuardedProcess::make(request, std::move(exec), std::move(group));
  } catch (...) {
    ::rmdir(group.path.c_str());
    throw;
  }
}

}  // namespace mirakuru
