// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>

#include <mirakuru/os/uuid.hpp>
#include <mirakuru/spawn/cgroup.hpp>
#include <mirakuru/spawn/guardian/guardian.hpp>

namespace mirakuru {

namespace detail {

[[noreturn]] inline void throw_no_cgroup(int error, const std::string& what) {
  throw std::system_error{error, std::generic_category(), what};
}

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
  throw_no_cgroup(ENOTSUP, "no cgroup v2 is mounted");
}

}  // namespace detail

MIRAKURU_DECL GuardedProcess CgroupSpawner::spawn(const LaunchRequest& launch) const {
  const auto above = parent.empty() ? detail::own_cgroup() : parent;
  detail::Cgroup group{.path = above + "/mirakuru-" + detail::make_uuid()};
  if (::mkdir(group.path.c_str(), 0755) != 0)
    detail::throw_no_cgroup(errno, "no cgroup can be made in " + above);
  try {
    const auto open = [&](const std::string& name, int flags) {
      detail::UniqueFd file{::open((group.path + name).c_str(), flags | O_CLOEXEC)};
      if (!file) detail::throw_no_cgroup(errno, "the cgroup in " + above + " has no " + name);
      return move_above_stdio(std::move(file));
    };
    group.directory = open("/", O_RDONLY | O_DIRECTORY);
    group.kill = open("/cgroup.kill", O_WRONLY);
    return GuardedProcess::make(launch, std::move(group));
  } catch (...) {
    ::rmdir(group.path.c_str());
    throw;
  }
}

}  // namespace mirakuru
