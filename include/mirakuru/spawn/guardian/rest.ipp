// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <fstream>

#include <mirakuru/os/proc.hpp>
#include <mirakuru/os/syscalls.hpp>
#include <mirakuru/spawn/guardian/rest.hpp>
#include <mirakuru/spawn/guardian/tree.hpp>

namespace mirakuru::detail {

/// Calls `visit` with each id that a process born after `first` may have. Two million calls a
/// second, if the ids have begun anew since.
template <class Visit>
void for_each_later_id(pid_t first, Visit visit) {
  constexpr pid_t most_ids = 1 << 22;
  // The id of a process that is born now.
  const auto last = static_cast<pid_t>(syscalls::call(SYS_clone, CLONE_VFORK, 0, 0, 0, 0));
  if (last == 0) syscalls::call(SYS_exit_group, 0);
  if (last > 0) ::waitid(P_PID, static_cast<id_t>(last), nullptr, WEXITED | __WALL);
  const bool anew = last < first;
  for (pid_t pid = first; pid < (anew ? most_ids : last); ++pid) visit(pid);
  for (pid_t pid = 2; anew && pid < first; ++pid) visit(pid);
}

MIRAKURU_DECL TreeRest::TreeRest(std::uint64_t mark, const std::string& id)
    : mark_{mark}, variable_{id.empty() ? id : "mirakuru_uuid=" + id} {}

/// `by_proc`: /proc shows this pid namespace.
MIRAKURU_DECL bool TreeRest::is_marked(pid_t pid, bool by_proc) const {
  RlimitTag limits;
  // A process of another user tells its limits in /proc only.
  if (syscalls::call(SYS_prlimit64, pid, RLIMIT_LOCKS, nullptr, &limits) != 0 && by_proc) {
    const auto text = read_proc(pid, "limits");
    if (const auto at = text.find("Max file locks"); at != text.npos)
      std::sscanf(&text[at], "Max file locks %" SCNu64 " %" SCNu64, &limits.soft, &limits.hard);
  }
  if (RlimitTag{mark_}.is_on(limits)) return true;
  if (variable_.empty() || !by_proc) return false;
  std::ifstream environment{"/proc/" + std::to_string(pid) + "/environ"};
  for (std::string entry; std::getline(environment, entry, '\0');)
    if (entry == variable_) return true;
  return false;
}

MIRAKURU_DECL TreeRest::State TreeRest::kill(pid_t first, const Visit& visit) {
  const bool by_proc = proc_is_own();
  if (!by_proc && mark_ == 0) return State::unknown;
  const auto now = [by_proc](pid_t pid) {
    if (by_proc) return process_stat(pid);
    return ProcessStat{.state = process_lives(pid) ? '?' : '\0'};
  };
  bool found = false;
  const auto kill_marked = [&](pid_t pid) {
    if (pid == ::getpid() || !is_marked(pid, by_proc)) return true;
    const auto stat = now(pid);
    if (!stat.lives()) {
      ::waitid(P_PID, static_cast<id_t>(pid), nullptr, WEXITED | WNOHANG | __WALL);  // if a child
      return true;
    }
    found = true;
    visit(pid, false);
    if (::kill(pid, SIGKILL) == 0)
      killed_[pid] = stat.started;
    else if (errno == EPERM)
      visit(pid, true);
    return true;
  };
  // A process that keeps handing over to a new child may slip through one search.
  for (int searches = 0; searches < 3 && !found; ++searches)
    if (!by_proc)
      for_each_later_id(first, kill_marked);
    else if (!for_each_pid(kill_marked))
      found = true;
  // An exiting process loses its marks before its files.
  std::erase_if(killed_, [&](const auto& killed) {
    const auto stat = now(killed.first);
    return by_proc ? stat.state != '?' && (!stat.lives() || stat.started != killed.second)
                   : !stat.lives() || !is_marked(killed.first, by_proc);
  });
  return found || !killed_.empty() ? State::lives : State::gone;
}

}  // namespace mirakuru::detail
