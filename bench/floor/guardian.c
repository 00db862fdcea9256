// SPDX-License-Identifier: BSL-1.0
// A guardian by hand, with the promises of ours: the whole tree ends with stop(), and with the
// owner's death in any way.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "floor.h"

enum { spawned, failed, ended };
struct message {
  int kind, value;
};

static void tell(int channel, int kind, int value) {
  const struct message message = {kind, value};
  send(channel, &message, sizeof message, MSG_NOSIGNAL);
}

static long long now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

// A process and all its descendants, by the lists of children.
static int find_tree(pid_t root, pid_t* tree, int most) {
  int count = 0;
  tree[count++] = root;
  for (int i = 0; i < count; ++i) {
    char path[64], list[16384];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", tree[i], tree[i]);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? 0 : read(fd, list, sizeof list - 1);
    if (fd >= 0) close(fd);
    list[n < 0 ? 0 : n] = '\0';
    char* at = list;
    for (long child; count < most && (child = strtol(at, &at, 10)) > 0;)
      tree[count++] = (pid_t)child;
  }
  return count;
}

static void signal_tree(pid_t root, int number) {
  static pid_t tree[4096];
  const int count = find_tree(root, tree, 4096);
  for (int i = 1; i < count; ++i) kill(tree[i], number);
}

static void close_but(const int* kept, int count) {
  unsigned from = 0;
  for (;;) {
    unsigned next = ~0U;
    for (int i = 0; i < count; ++i)
      if ((unsigned)kept[i] >= from && (unsigned)kept[i] < next) next = (unsigned)kept[i];
    if (next > from) syscall(SYS_close_range, from, next == ~0U ? next : next - 1, 0);
    if (next == ~0U) return;
    from = next + 1;
  }
}

static void become(char* const* argv, const int* streams, int channel, pid_t guardian) {
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != guardian) _exit(127);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  for (int i = 0; i < 3; ++i) dup2(streams[i], i);
  const int given = floor_given >= 0;
  if (given) {
    channel = fcntl(channel, F_DUPFD_CLOEXEC, 4);
    dup2(floor_given, 3);
  }
  syscall(SYS_close_range, 3 + given, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
  execvp(argv[0], argv);
  tell(channel, failed, errno);
  _exit(127);
}

static pid_t spawn(char* const* argv, const int* streams, int channel) {
  const pid_t guardian = getpid(), pid = vfork();
  if (pid == 0) become(argv, streams, channel, guardian);
  return pid;
}

static void guard(char* const* argv, const int* streams, int channel, int owner, pid_t owner_id) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_PDEATHSIG, SIGCONT);
  if (getppid() != owner_id) return;
  setsid();
  sigset_t news;
  sigemptyset(&news);
  sigaddset(&news, SIGCHLD);
  sigaddset(&news, SIGCONT);
  for (int i = 1; i < 32; ++i) signal(i, SIG_DFL);
  const int events = signalfd(-1, &news, SFD_CLOEXEC | SFD_NONBLOCK);
  const pid_t self = getpid();
  const pid_t leader = spawn(argv, streams, channel);
  if (leader < 0) {
    tell(channel, failed, errno);
    return;
  }
  const int kept[] = {channel, owner, events};
  close_but(kept, 3);
  if (chdir("/") != 0) return;
  tell(channel, spawned, leader);
  long long kill_at = -1, look_at = -1;
  int number = 0, status = 0, leader_status = 0, leader_lives = 1;
  for (;;) {
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0)
      if (pid == leader) leader_status = status, leader_lives = 0, look_at = now_ms() + 2;
    if (pid < 0) {
      tell(channel, ended, leader_status);
      return;
    }
    const long long now = now_ms();
    if (kill_at >= 0 && now >= kill_at) number = SIGKILL, look_at = now;
    if (number != 0 && look_at >= 0 && now >= look_at) {
      signal_tree(self, number);
      look_at = now + 50;
    }
    struct pollfd all[] = {{channel, POLLIN, 0}, {owner, POLLIN, 0}, {events, POLLIN, 0}};
    poll(all, 3, number == 0 ? -1 : look_at < 0 ? 1000 : look_at > now ? (int)(look_at - now) : 0);
    struct signalfd_siginfo news_of;
    if (all[2].revents != 0) (void)!read(events, &news_of, sizeof news_of);
    unsigned char order = 0;
    if (all[0].revents != 0 && recv(channel, &order, 1, MSG_DONTWAIT) == 1) {
      number = order;
      if (leader_lives) kill(-leader, number);
      look_at = now_ms() + 4;
    } else if (all[0].revents != 0 || all[1].revents != 0 || getppid() != owner_id) {
      if (number == 0 && leader_lives) kill(-leader, SIGTERM);
      if (number == 0) number = SIGTERM, kill_at = now_ms() + 10000;
      owner = channel = -1;
    }
  }
}

int floor_guard(char* const* argv, struct floor_guarded* process) {
  int ends[2], input[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return 0;
  if (pipe2(input, O_CLOEXEC) != 0) return 0;
  process->out = floor_output();
  process->err = floor_output();
  const int streams[] = {input[0], process->out, process->err};
  const pid_t self = getpid();
  const int owner = (int)syscall(SYS_pidfd_open, self, 0);
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  process->guardian = fork();
  if (process->guardian == 0) {
    guard(argv, streams, ends[1], owner, self);
    _exit(0);
  }
  sigprocmask(SIG_SETMASK, &before, NULL);
  close(ends[1]);
  close(input[0]);
  close(owner);
  if (floor_given >= 0) close(floor_given);
  floor_given = -1;
  process->channel = ends[0];
  process->input = input[1];
  struct message message = {failed, 0};
  if (recv(process->channel, &message, sizeof message, 0) != sizeof message) return 0;
  process->leader = message.value;
  process->leader_fd = (int)syscall(SYS_pidfd_open, process->leader, 0);
  return message.kind == spawned;
}

int floor_lives(const struct floor_guarded* process) {
  struct pollfd ends[] = {{process->channel, POLLIN, 0}, {process->leader_fd, POLLIN, 0}};
  siginfo_t info = {.si_pid = 0};
  return poll(ends, 2, 0) == 0 &&
         waitid(P_PID, (id_t)process->guardian, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0;
}

void floor_end(struct floor_guarded* process) {
  const unsigned char order = SIGTERM;
  send(process->channel, &order, 1, MSG_NOSIGNAL);
  struct message message;
  while (recv(process->channel, &message, sizeof message, 0) == sizeof message &&
         message.kind != ended)
    continue;
  waitpid(process->guardian, NULL, 0);
  close(process->channel);
  close(process->leader_fd);
  close(process->input);
  close(process->out);
  close(process->err);
}
