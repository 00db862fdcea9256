// Helpers for tests that spoil the process they run in.

#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <exception>

namespace test {

// Runs `body` in a child process, which it may spoil. Returns the exit status, 0 if `body` returned
// true.
template <class Body>
int in_child(Body body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    int status = 2;
    try {
      status = body() ? 0 : 1;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "in the child: %s\n", error.what());
    }
    ::_exit(status);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Makes this process a plain user's, and its children ordinary processes of that user. False if it
// may not.
inline bool become_nobody() {
  constexpr uid_t nobody = 65534;
  return ::setresgid(nobody, nobody, nobody) == 0 && ::setresuid(nobody, nobody, nobody) == 0 &&
         ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;  // a change of the user clears it
}

// Makes the system call fail with `error` in this thread and its children: ENOSYS, as on a kernel
// without it. With a mask only calls whose argument `index` has the bits `value` of the mask fail.
inline bool take_away(unsigned call, unsigned error = ENOSYS, unsigned index = 0, unsigned mask = 0,
                      unsigned value = 0) {
  const auto argument = static_cast<unsigned>(offsetof(seccomp_data, args) + 8 * index);
  std::array filter{
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4),
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument),
      sock_filter BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = filter.size(), .filter = filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace test
