// SPDX-License-Identifier: BSL-1.0
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "floor.h"

static long now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000L + time.tv_nsec / 1000000;
}

static void pause_us(long time) {
  const struct timespec limit = {.tv_nsec = time * 1000};
  ppoll(NULL, 0, &limit, NULL);
}

// The end of a service's channel here.
static int channel = -1;

// Closing an inotify descriptor takes ten milliseconds on a busy machine: the kernel waits until no
// processor can still have an event. So it is closed later.
static int events = -1;
static long began;

void floor_forget(void) {
  if (events >= 0) close(events);
  if (channel >= 0) close(channel);
  events = channel = -1;
  unsetenv("NOTIFY_SOCKET");
}

static void watch(const char* path, uint32_t mask) {
  floor_forget();
  began = now_ms();
  events = inotify_init1(IN_CLOEXEC);
  inotify_add_watch(events, path, mask);
}

// Waits for an event, or for `longest` milliseconds, as an event may get lost. Returns 0 when 20
// seconds have gone.
static int changed(long longest) {
  char buffer[4096];
  struct pollfd in = {.fd = events, .events = POLLIN};
  if (poll(&in, 1, (int)longest) == 1) return read(events, buffer, sizeof buffer) > 0;
  return now_ms() - began < 20000;
}

// The same for a file that is not there yet: file systems without events exist.
static int appeared(void) {
  const long pause = (now_ms() - began) / 2;
  return changed(pause < 20 ? 20 : pause > 1000 ? 1000 : pause);
}

int floor_await_banner(int out, const char* banner) {
  static char block[65536];
  const size_t size = strlen(banner);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", out);
  watch(path, IN_MODIFY);
  size_t kept = 0;
  off_t at = 0;
  for (int looks = 1;;) {
    const ssize_t n = pread(out, block + kept, sizeof block - kept, at);
    if (n > 0) {
      const size_t end = kept + (size_t)n;
      at += n;
      if (memmem(block, end, banner, size) != NULL) return looks;
      kept = end < size ? end : size - 1;
      memmove(block, block + end - kept, kept);
    } else if (changed(1000)) {
      ++looks;
    } else {
      return -1;
    }
  }
}

static void watch_parent(const char* path, uint32_t mask) {
  char directory[108] = "";
  strncpy(directory, path, sizeof directory - 1);
  *strrchr(directory, '/') = '\0';
  watch(directory, IN_CREATE | IN_MOVED_TO | mask);
}

int floor_await_file(const char* path) {
  watch_parent(path, 0);
  int looks = 1;
  while (looks > 0 && access(path, F_OK) != 0) looks = appeared() ? looks + 1 : -1;
  return looks;
}

int floor_await_log(const char* path, const char* text) {
  char buffer[4096];
  watch_parent(path, IN_MODIFY);
  int looks = 1;
  for (int log = -1; looks > 0; looks = appeared() ? looks + 1 : -1) {
    if (log < 0) log = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = log < 0 ? 0 : pread(log, buffer, sizeof buffer, 0);
    if (n > 0 && memmem(buffer, (size_t)n, text, strlen(text)) != NULL) {
      close(log);
      return looks;
    }
  }
  return looks;
}

static int connects(const struct sockaddr* address, socklen_t size) {
  const int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, address, size) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

int floor_await_unix(const char* path) {
  watch_parent(path, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  int looks = 1, fd;
  for (; (fd = connects((struct sockaddr*)&address, sizeof address)) < 0 && looks > 0; ++looks) {
    if (errno == ECONNREFUSED)  // bound, but not listening yet: there is no event
      pause_us(50);
    else if (!appeared())
      looks = -2;
  }
  if (fd >= 0) close(fd);
  return looks;
}

static int connects_to(int port) {
  const struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr = {htonl(INADDR_LOOPBACK)}};
  return connects((const struct sockaddr*)&address, sizeof address);
}

int floor_await_tcp(int* ports, int count) {
  const long limit = now_ms() + 20000;
  for (int looks = 1; now_ms() < limit; ++looks) {
    for (int i = 0; i < count;) {
      const int fd = connects_to(ports[i]);
      if (fd < 0) {
        ++i;
      } else {
        close(fd);
        ports[i] = ports[--count];
      }
    }
    if (count == 0) return looks;
    pause_us(1000);
  }
  return -1;
}

int floor_await_http(int port) {
  static const char request[] = "HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  const long limit = now_ms() + 20000;
  for (int looks = 1; now_ms() < limit; ++looks) {
    char answer[4096] = "";
    const int fd = connects_to(port);
    if (fd >= 0) {
      send(fd, request, sizeof request - 1, MSG_NOSIGNAL);
      recv(fd, answer, sizeof answer - 1, 0);
      close(fd);
    }
    if (strncmp(answer, "HTTP/1.1 200", 12) == 0) return looks;
    pause_us(1000);
  }
  return -1;
}

void floor_open_notify(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char name[64];
  const int size = snprintf(name, sizeof name, "@mirakuru-floor-%d", getpid());
  memcpy(address.sun_path + 1, name + 1, (size_t)size - 1);
  channel = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  bind(channel, (struct sockaddr*)&address,
       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)size));
  setenv("NOTIFY_SOCKET", name, 1);
}

void floor_open_fd(void) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return;
  channel = ends[0];
  floor_given = ends[1];
}

// Reads from the channel until `text` comes.
static int await_text(const char* text) {
  char buffer[4096];
  struct pollfd in = {.fd = channel, .events = POLLIN};
  for (int looks = 1; looks <= 20; ++looks) {
    if (poll(&in, 1, 1000) == 0) continue;
    const ssize_t n = read(channel, buffer, sizeof buffer);
    if (n <= 0) return -1;
    if (memmem(buffer, (size_t)n, text, strlen(text)) != NULL) return looks;
  }
  return -1;
}

int floor_await_notify(void) {
  const int looks = await_text("READY=1");
  // Nobody reads later messages. Without the filter they fill the queue, and their sender waits.
  struct sock_filter none[] = {{.code = BPF_RET | BPF_K}};
  const struct sock_fprog program = {.len = 1, .filter = none};
  setsockopt(channel, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
  return looks;
}

int floor_await_fd(void) { return await_text("\n"); }
