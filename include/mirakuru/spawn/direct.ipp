// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/spawn/direct.hpp>

namespace mirakuru {

namespace detail {

MIRAKURU_DECL int decode_exit(int code, int status) noexcept {
  return code == CLD_EXITED ? status : -status;
}

/// True while this process group has a member that is no zombie. Rests on /proc. Without one of its
/// own it cannot tell a zombie, so `killed` decides: after SIGKILL nothing lives long.
inline bool group_lives(pid_t group, bool killed) {
  if (!proc_is_own()) return !killed;
  bool found = false;
  const bool can_tell = for_each_pid([&](pid_t pid) {
    const auto stat = process_stat(pid);
    found = stat.state == '?' || (stat.group == group && stat.lives());
    return !found;
  });
  return found || !can_tell;
}

/// The exit code of a process that the host has reaped; 0 where the kernel does not tell it a
/// second time. Rests on `PIDFD_GET_INFO`: Linux 6.15.
inline int reaped_exit_code(int pidfd) {
  struct {  // linux/pidfd.h has it since 6.15
    std::uint64_t mask = 1 << 3, cgroup_id = 0;
    std::uint32_t ids[11] = {};
    std::int32_t exit_status = 0;
  } info;
  if (::ioctl(pidfd, _IOWR(0xff, 11, info), &info) != 0 || (info.mask & (1 << 3)) == 0) return 0;
  return WIFSIGNALED(info.exit_status) ? -WTERMSIG(info.exit_status)
                                       : WEXITSTATUS(info.exit_status);
}

/// The two parameter objects of `posix_spawn`.
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
    if (error != 0) throw_error(error, call);
  }

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

/// The strings as `execve` takes them.
inline std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (const auto& string : strings) result.push_back(const_cast<char*>(string.c_str()));
  result.push_back(nullptr);
  return result;
}

}  // namespace detail

MIRAKURU_DECL DirectProcess::DirectProcess(pid_t pid)
    : pid_{pid}, owner_{::getpid()}, pidfd_{detail::open_pidfd(pid)} {}

MIRAKURU_DECL bool DirectProcess::alive() {
  if (::getpid() != owner_) return false;
  if (!exit_code_) {
    siginfo_t info{};
    const int error = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG);
    // ECHILD: the host ignores SIGCHLD or reaps every child, and has got the status.
    if (error != 0 ? errno != ECHILD : info.si_pid == 0) return true;
    exit_code_ = error == 0 ? detail::decode_exit(info.si_code, info.si_status)
                            : detail::reaped_exit_code(pidfd_.get());
  }
  // No other process gets the group's number while a member lives. Once empty, the group is never
  // looked at again.
  if (!group_gone_)
    group_gone_ = (::kill(-pid_, 0) != 0 && errno == ESRCH) || !detail::group_lives(pid_, killed_);
  return !group_gone_;
}

MIRAKURU_DECL void DirectProcess::signal(int signal) noexcept {
  if (group_gone_ || ::getpid() != owner_) return;
  const int result = ::kill(-pid_, signal);
  if (signal != SIGKILL) return;
  killed_ |= result == 0;
  refused_ |= result != 0 && errno == EPERM;
}

MIRAKURU_DECL std::string DirectProcess::trouble() const {
  return refused_ ? "pid " + std::to_string(pid_) +
                        " and its group belong to another user, and may not be signalled"
                  : "";
}

MIRAKURU_DECL DirectProcess DirectSpawner::spawn(const LaunchRequest& request) const {
  const auto exec = local_exec(request);
  detail::SpawnParameters spawn;
  const auto check = detail::SpawnParameters::check;

  // The child gets none of the host's blocked or ignored signals, and none of its descriptors.
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  check(::posix_spawnattr_setsigmask(&spawn.attributes, &none), "posix_spawnattr_setsigmask");
  check(::posix_spawnattr_setsigdefault(&spawn.attributes, &all), "posix_spawnattr_setsigdefault");
  check(::posix_spawnattr_setflags(
            &spawn.attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF),
        "posix_spawnattr_setflags");
  if (!request.cwd.empty())
    check(::posix_spawn_file_actions_addchdir_np(&spawn.actions, request.cwd.c_str()),
          "posix_spawn_file_actions_addchdir_np");
  for (auto [from, to] : {std::pair{request.in, 0}, {request.out, 1}, {request.err, 2}})
    // The host's own stream may be close-on-exec; a copy onto itself is not.
    if (from >= 0 || ::fcntl(from = to, F_GETFD) >= 0)
      check(::posix_spawn_file_actions_adddup2(&spawn.actions, from, to),
            "posix_spawn_file_actions_adddup2");
  check(::posix_spawn_file_actions_addclosefrom_np(&spawn.actions, 3),
        "posix_spawn_file_actions_addclosefrom_np");

  pid_t pid = 0;
  // Another thread may have forked while it wrote the program: that copy of its descriptor is gone
  // in a moment.
  const auto patience = detail::Clock::now() + std::chrono::seconds{2};
  int error = 0;
  for (;;) {
    error = ::posix_spawn(&pid, exec.program.c_str(), &spawn.actions, &spawn.attributes,
                          detail::pointers(request.words).data(),
                          detail::pointers(exec.environment).data());
    if (error != ETXTBSY || detail::Clock::now() > patience) break;
    const timespec pause{.tv_sec = 0, .tv_nsec = 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
  if (error != 0) throw detail::exec_failure(exec.program, error);
  return DirectProcess{pid};
}

}  // namespace mirakuru
