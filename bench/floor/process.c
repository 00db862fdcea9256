// SPDX-License-Identifier: BSL-1.0
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
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

int floor_output(void) {
  const char* directory = getenv("TMPDIR");
  if (directory == NULL || *directory == '\0') directory = "/tmp";
  return open(directory, O_TMPFILE | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
}
