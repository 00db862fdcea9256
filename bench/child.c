// SPDX-License-Identifier: BSL-1.0
// The service of each measurement:
//
//   child PAGE DELAY VERB PLACE     becomes ready DELAY microseconds after its start
//
//   banner -         prints a line              tcp PORT      listens
//   pid FILE         makes the file             http PORT     answers 503, then 200
//   unix SOCKET      binds and listens          flood BYTES   prints so much, then a line
//   notify -         sends READY=1              fd NUMBER     writes a line there
//   tree COUNT       starts COUNT processes, half of them in new sessions, then prints a line
//
// It runs until a signal ends it, for two minutes at most.
#define _GNU_SOURCE
#include "page.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct page* page;
static int64_t due;

static void check(int good, const char* what) {
  if (good) return;
  perror(what);
  exit(1);
}

// Waits until it is due or the descriptor is readable. Returns true if readable.
static int wait_for(int fd) {
  struct pollfd in = {.fd = fd, .events = POLLIN};
  const int64_t now = monotonic_ns(), left = due > now ? due - now : 0;
  const struct timespec limit = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
  return ppoll(&in, 1, page->ready ? NULL : &limit, NULL) == 1;
}

static void stamp(void) {
  while (monotonic_ns() < due) wait_for(-1);
  page->ready = monotonic_ns();
}

static void print(const char* text, size_t size) {
  while (size > 0) {
    const ssize_t n = write(1, text, size);
    check(n > 0, "write");
    text += n;
    size -= (size_t)n;
  }
}

static void notify(const char* name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  check(name != NULL && name[0] == '@', "NOTIFY_SOCKET");
  check(strlen(name) <= sizeof address.sun_path, name);
  memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const size_t size = offsetof(struct sockaddr_un, sun_path) + strlen(name);
  stamp();
  check(sendto(fd, "READY=1", 7, 0, (struct sockaddr*)&address, (socklen_t)size) == 7, name);
}

static int bound_to(const char* port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  const struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)atoi(port)),
                                      .sin_addr = {htonl(INADDR_LOOPBACK)}};
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  check(bind(fd, (const struct sockaddr*)&address, sizeof address) == 0, "bind");
  return fd;
}

static void serve(int listener) {
  static const char before[] = "HTTP/1.1 503 Not yet\r\nContent-Length: 0\r\n\r\n";
  static const char after[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  check(listen(listener, 16) == 0, "listen");
  for (;;) {
    const int called = wait_for(listener);
    if (!page->ready && monotonic_ns() >= due) stamp();
    if (!called) continue;
    page->early += !page->ready;
    const int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    char request[4096];
    const char* const answer = page->ready ? after : before;
    if (recv(client, request, sizeof request, 0) > 0)
      send(client, answer, strlen(answer), MSG_NOSIGNAL);
    close(client);
  }
}

static void flood(long long size) {
  static char block[65536];
  memset(block, '.', sizeof block);
  for (size_t i = 79; i < sizeof block; i += 80) block[i] = '\n';
  for (long long n; size > 0; size -= n) {
    n = size < (long long)sizeof block ? size : (long long)sizeof block;
    print(block, (size_t)n);
  }
}

static void grow(int count) {
  int ends[2];
  check(pipe(ends) == 0, "pipe");
  for (int i = 1; i < count; ++i) {
    const pid_t pid = fork();
    check(pid >= 0, "fork");
    if (pid > 0) continue;
    alarm(120);
    if (i % 2 != 0) setsid();
    close(ends[0]);
    close(ends[1]);
    for (;;) pause();
  }
  char none;
  close(ends[1]);
  check(read(ends[0], &none, 1) == 0, "read");  // when each process has closed its end
}

int main(int argc, char** argv) {
  const int64_t begin = monotonic_ns();
  if (argc != 5) return 2;
  alarm(120);
  const int fd = open(argv[1], O_RDWR | O_CLOEXEC);
  page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  check(page != MAP_FAILED, argv[1]);
  page->ready = page->early = 0;
  page->begin = begin;
  due = begin + atoll(argv[2]) * 1000;

  const char *const verb = argv[3], *const place = argv[4];
  if (strcmp(verb, "flood") == 0) flood(atoll(place));
  if (strcmp(verb, "tree") == 0) grow(atoi(place));
  if (strcmp(verb, "http") == 0) serve(bound_to(place));
  if (strcmp(verb, "tcp") == 0) {
    const int listener = bound_to(place);
    stamp();
    listen(listener, 16);
  } else if (strcmp(verb, "unix") == 0) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, place, sizeof address.sun_path - 1);
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    stamp();
    check(bind(listener, (const struct sockaddr*)&address, sizeof address) == 0, place);
    listen(listener, 16);
  } else if (strcmp(verb, "notify") == 0) {
    notify(getenv("NOTIFY_SOCKET"));
  } else if (strcmp(verb, "fd") == 0) {
    stamp();
    check(write(atoi(place), "\n", 1) == 1, place);
  } else if (strcmp(verb, "pid") == 0) {
    stamp();
    check(open(place, O_WRONLY | O_CREAT | O_CLOEXEC, 0644) >= 0, place);
  } else if (strcmp(verb, "log") == 0) {
    stamp();
    const int log = open(place, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    check(write(log, "ready\n", 6) == 6, place);
  } else {
    stamp();
    print("ready\n", 6);
  }
  for (;;) pause();
}
