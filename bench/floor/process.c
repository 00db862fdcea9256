// SPDX-License-Identifier: BSL-1.0
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "floor.h"

int floor_given = -1;

pid_t floor_spawn(char* const* argv, int out) {
  pid_t pid = 0;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (out >= 0) posix_spawn_file_actions_adddup2(&actions, out, 1);
  if (floor_given >= 0) posix_spawn_file_actions_adddup2(&actions, floor_given, 3);
  if (posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ) != 0) pid = 0;
  posix_spawn_file_actions_destroy(&actions);
  if (floor_given >= 0) close(floor_given);
  floor_given = -1;
  return pid;
}

void floor_stop(pid_t pid) {
  kill(pid, SIGTERM);
  waitpid(pid, NULL, 0);
}

int floor_find_tree(pid_t root, pid_t* tree, int most) {
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

void floor_stop_tree(pid_t pid) {
  static pid_t tree[4096];
  const int count = floor_find_tree(pid, tree, 4096);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (int i = 0; i < count; ++i) kill(tree[i], SIGTERM);
  while (waitpid(-1, NULL, 0) > 0) continue;
  prctl(PR_SET_CHILD_SUBREAPER, 0);
}

int floor_output(void) {
  const char* directory = getenv("TMPDIR");
  if (directory == NULL || *directory == '\0') directory = "/tmp";
  return open(directory, O_TMPFILE | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
}
