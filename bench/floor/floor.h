// SPDX-License-Identifier: BSL-1.0
// The floor under each row of the table: what is measured, written by hand in C for this one case,
// with no error told and no process looked after.
#pragma once

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

// Starts a program; standard output goes to `out` unless that is -1. 0 when it cannot.
pid_t floor_spawn(char* const* argv, int out);
// Ends it, and returns when it is gone.
void floor_stop(pid_t pid);
// The same for it and all below it. This process must have no other children.
void floor_stop_tree(pid_t pid);
// An unlinked file for output.
int floor_output(void);

// They wait until it is ready and return how often they have looked, -1 after 20 seconds.
int floor_await_banner(int out, const char* banner);
int floor_await_file(const char* path);
int floor_await_unix(const char* path);
// Until all the ports accept; those that do are put out of `ports`.
int floor_await_tcp(int* ports, int count);
int floor_await_http(int port);
// Gives back what the last wait has left open.
void floor_forget(void);

#ifdef __cplusplus
}
#endif
