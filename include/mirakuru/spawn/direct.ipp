// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>

#include <mirakuru/os/proc.hpp>
#include <mirakuru/spawn/direct.hpp>

namespace mirakuru {

namespace detail {

MIRAKURU_DECL int decode_exit(int code, int status) noexcept {
  return code == CLD_EXITED ? status : -status;
}

MIRAKURU_DECL bool group_lives(pid_t group) {
  bool found = false;
  const bool can_tell = for_each_pid([&](pid_t pid) {
    const auto stat = process_stat(pid);
    found = stat.state == '?' || (stat.group == group && stat.lives());
    return !found;
  });
  return found || !can_tell;
}

/// The exit status of a process that somebody else has reaped. Kernels before 6.15 do not tell it a
/// second time; it then counts as 0. Rests on `PIDFD_GET_INFO`.
inline int reaped_exit_code(int pidfd) {
  struct {  // linux/pidfd.h has it from 6.15 on
    std::uint64_t mask = 1 << 3, cgroup_id = 0;
    std::uint32_t ids[11] = {};
    std::int32_t exit_status = 0;
  } info;
  if (::ioctl(pidfd, _IOWR(0xff, 11, info), &info) != 0 || (info.mask & (1 << 3)) == 0) return 0;
  return WIFSIGNALED(info.exit_status) ? -WTERMSIG(info.exit_status)
                                       : WEXITSTATUS(info.exit_status);
}

/// posix_spawn's two parameter objects, and the checking of the calls that fill them.
class SpawnParameters {
 public:
  SpawnParameters() {
    check(::posix_spawn_file_actions_init(&actions), "posix_spawn_file_actions_init");
    check(::posix_spawnattr_init(&attributes), "posix_spawnattr_init");
  }
  ~SpawnParameters() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnParameters(const SpawnParameters&) = delete;
  SpawnParameters& operator=(const SpawnParameters&) = delete;

  static void check(int error, const char* call) {
    if (error != 0) throw std::system_error{error, std::generic_category(), call};
  }

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

/// The pointers that exec wants.
inline std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (const auto& string : strings) result.push_back(const_cast<char*>(string.c_str()));
  result.push_back(nullptr);
  return result;
}

}  // namespace detail

MIRAKURU_DECL DirectProcess::DirectProcess(pid_t pid)
    : pid_{pid}, owner_{::getpid()}, pidfd_{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))} {}

MIRAKURU_DECL bool DirectProcess::alive() {
  if (::getpid() != owner_) return false;
  if (!exit_code_) {
    siginfo_t info{};
    int error = 0;
    while ((error = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG)) != 0 &&
           errno == EINTR) {
    }
    if (error == 0 && info.si_pid == 0) return true;
    // ECHILD: the host ignores SIGCHLD or reaps every child, and the status went there.
    exit_code_ = error == 0 ? detail::decode_exit(info.si_code, info.si_status)
                            : detail::reaped_exit_code(pidfd_.get());
  }
  // The group's number cannot be given to another process while a member lives, and a group that
  // has been seen empty is never asked about again.
  if (!group_gone_) group_gone_ = ::kill(-pid_, 0) != 0 || !detail::group_lives(pid_);
  return !group_gone_;
}

MIRAKURU_DECL void DirectProcess::signal(int signal) noexcept {
  if (!group_gone_ && ::getpid() == owner_) ::kill(-pid_, signal);
}

MIRAKURU_DECL DirectProcess DirectSpawner::spawn(const LaunchRequest& launch) const {
  detail::SpawnParameters spawn;
  const auto check = detail::SpawnParameters::check;

  // The child starts as from a shell: no signal of the host's is blocked or ignored in it, and no
  // descriptor of the host's is open in it.
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  check(::posix_spawnattr_setsigmask(&spawn.attributes, &none), "posix_spawnattr_setsigmask");
  check(::posix_spawnattr_setsigdefault(&spawn.attributes, &all), "posix_spawnattr_setsigdefault");
  check(::posix_spawnattr_setflags(
            &spawn.attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF),
        "posix_spawnattr_setflags");
  if (!launch.cwd.empty())
    check(::posix_spawn_file_actions_addchdir_np(&spawn.actions, launch.cwd.c_str()),
          "posix_spawn_file_actions_addchdir_np");
  for (const auto& [from, to] : {std::pair{launch.in, 0}, {launch.out, 1}, {launch.err, 2}})
    if (from >= 0)
      check(::posix_spawn_file_actions_adddup2(&spawn.actions, from, to),
            "posix_spawn_file_actions_adddup2");
  check(::posix_spawn_file_actions_addclosefrom_np(&spawn.actions, 3),
        "posix_spawn_file_actions_addclosefrom_np");

  pid_t pid = 0;
  check(::posix_spawn(&pid, launch.program.c_str(), &spawn.actions, &spawn.attributes,
                      detail::pointers(launch.argv).data(),
                      detail::pointers(launch.environment).data()),
        "posix_spawn");
  return DirectProcess{pid};
}

}  // namespace mirakuru
