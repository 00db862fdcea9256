// SPDX-License-Identifier: BSL-1.0
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstring>

#include "helper.hpp"

namespace helper {
namespace {

pid_t forked() {
  const pid_t pid = fork();
  if (pid < 0) fail("fork");
  return pid;
}

// /proc shows the environment of the last exec. The new program keeps the marks of the old one.
void exec_without_environment() {
  std::vector<std::string> words{"helper", "sleep", std::to_string(poll_ms(deadline))};
  for (char** word = arguments + 1; *word; ++word) words.push_back("mark=" + std::string{*word});
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  char* environment[] = {nullptr};
  execve("/proc/self/exe", argv.data(), environment);
}

int run_daemon(const Args& a) {
  int alive[2];
  if (pipe2(alive, O_CLOEXEC) != 0) fail("pipe");
  if (forked() != 0) {
    close(alive[1]);
    wait_for_end(alive[0]);
    return static_cast<int>(a.number("leader-exit"));
  }
  setsid();
  if (forked() != 0) std::_Exit(0);
  set_handler("all", SIG_IGN);
  const int fd = a.has("listen") ? listening("127.0.0.1", a.text("listen")) : -1;
  put_pid(a);
  if (a.text("env") == "clear") exec_without_environment();
  close(alive[1]);
  return fd >= 0 ? hold_connections(fd) : finish({});
}

void grow(const Args& a, long depth, int alive) {
  for (long i = 0; depth > 0 && i < a.number("width", 1); ++i) {
    if (forked() != 0) continue;
    if (a.number("setsid")) setsid();
    if (a.has("ignore")) set_handler(a.text("ignore"), SIG_IGN);
    grow(a, depth - 1, alive);
    put_pid(a, O_APPEND);
    close(alive);
    sleep_until(deadline);
    std::_Exit(0);
  }
}

int run_tree(const Args& a) {
  long all = 0, level = 1;
  for (long i = 0; i < a.number("depth", 1) && all < 1000; ++i)
    all += level *= a.number("width", 1);
  if (all > 1000) fail("so many processes", E2BIG);
  int alive[2];
  if (pipe2(alive, O_CLOEXEC) != 0) fail("pipe");
  grow(a, a.number("depth", 1), alive[1]);
  close(alive[1]);
  wait_for_end(alive[0]);
  write_all(1, "ready\n");
  return finish(a);
}

// Adds a line: its id and, as ids come again, its start time, field 22 of proc_pid_stat(5).
void put_record(const Args& a) {
  if (!a.has("record")) return;
  char text[1024] = {};
  const int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, text, sizeof text - 1) < 0) fail("/proc/self/stat");
  close(fd);
  const std::vector<std::string> fields = split(std::strrchr(text, ')'), ' ');  // from field 2 on
  put_file(a.text("record"), std::to_string(getpid()) + " " + fields[20] + "\n", O_APPEND);
}

// Removes the marker from the name and the arguments.
void rename_self() {
  prctl(PR_SET_NAME, "renamed");
  char** last = arguments;
  while (last[1]) ++last;
  std::memset(*arguments, 'x', static_cast<std::size_t>(*last + std::strlen(*last) - *arguments));
}

// Starts a child after each pause; a child lives for five pauses.
void keep_forking(milliseconds pause) {
  set_handler("CHLD", SIG_IGN);  // no zombies
  for (; poll_ms(deadline) > 0; nap(pause)) {
    if (fork() != 0) continue;
    nap(5 * pause);
    std::_Exit(0);
  }
}

// Each process lives for one pause, and its child follows it.
void keep_succeeding(milliseconds pause) {
  for (; poll_ms(deadline) > 0; nap(pause))
    if (fork() > 0) std::_Exit(0);
}

[[noreturn]] void escape(const Args& a, const std::string& ways, int alive) {
  put_record(a);
  for (const std::string& way : split(ways, '+')) {
    // These do not return, or not soon: the process is ready before them.
    if (way == "stop" || way == "forks" || way == "chain") close(alive);
    if (way == "session") {
      setsid();
    } else if (way == "group") {
      setpgid(0, 0);
    } else if (way == "daemon") {
      setsid();
      if (forked() != 0) std::_Exit(0);
      put_record(a);
    } else if (way == "ignore") {
      set_handler("all", SIG_IGN);
    } else if (way == "clean") {
      exec_without_environment();
    } else if (way == "name") {
      rename_self();
    } else if (way == "stop") {
      raise(SIGSTOP);
    } else if (way == "forks") {
      keep_forking(a.ms("pause", 1));
    } else if (way == "chain") {
      keep_succeeding(a.ms("pause", 1));
    } else {
      fail("no such way: " + way, EINVAL);
    }
  }
  close(alive);
  sleep_until(deadline);
  std::_Exit(0);
}

int run_escape(const Args& a) {
  int alive[2];
  if (pipe2(alive, O_CLOEXEC) != 0) fail("pipe");
  put_record(a);
  for (const std::string& ways : a.words)
    if (forked() == 0) escape(a, ways, alive[1]);
  close(alive[1]);
  wait_for_end(alive[0]);
  write_all(1, "ready\n");
  return finish(a);
}

constexpr Verb verbs[] = {
    {"daemon", run_daemon, 0, 0, "[pidfile=FILE] [leader-exit=CODE] [listen=PORT] [env=clear]"},
    {"tree", run_tree, 0, 0,
     "[depth=N] [width=N] [setsid=0|1] [ignore=SIG,SIG] [pidfile=FILE] [exit=CODE]"},
    {"escape", run_escape, 1, any,
     "WAYS... [pause=MS] [record=FILE] [exit=CODE], WAYS of each child: session, group, daemon, "
     "ignore, clean, name, stop, forks, chain, joined by +"},
};

}  // namespace

std::span<const Verb> descendant_verbs() { return verbs; }

}  // namespace helper
