// SPDX-License-Identifier: BSL-1.0
// The floor of each row: the same task by hand in C, for this one case. It reports no error.
#pragma once

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

// Starts a program with its standard output in `out`; -1: the caller's. Returns 0 on failure.
// Nothing looks after it.
pid_t floor_spawn(char* const* argv, int out);
// Ends the process and returns when it is gone.
void floor_stop(pid_t pid);
// A process below a guardian, with an input and two files for its output.
struct floor_guarded {
  pid_t guardian, leader;
  int channel, leader_fd, input, out, err;
};
// Starts it, and returns when the program is executed. Returns 0 on failure.
int floor_guard(char* const* argv, struct floor_guarded* process);
// True if the process and its guardian live.
int floor_lives(const struct floor_guarded* process);
// Ends the tree by SIGTERM, and returns when it is gone.
void floor_end(struct floor_guarded* process);
// Opens an unlinked file for output.
int floor_output(void);

// Each waits until the service is ready and returns the number of looks; -1 after 20 seconds.
int floor_await_banner(int out, const char* banner);
int floor_await_file(const char* path);
// Waits until the file has `text` in its first 4 kB.
int floor_await_log(const char* path, const char* text);
int floor_await_unix(const char* path);
// Waits until all ports accept. Removes each open port from `ports`.
int floor_await_tcp(int* ports, int count);
int floor_await_http(int port);
// Makes the socket of NOTIFY_SOCKET for the next service.
void floor_open_notify(void);
int floor_await_notify(void);
// Makes a pipe, which is descriptor 3 of the next service.
void floor_open_fd(void);
int floor_await_fd(void);
// The descriptor that becomes 3 in the next service; -1 for none.
extern int floor_given;
// Closes the descriptor that the last wait has left open.
void floor_forget(void);

#ifdef __cplusplus
}
#endif
