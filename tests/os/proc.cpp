// SPDX-License-Identifier: BSL-1.0
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/os/proc.hpp>

#include "child.hpp"
#include "files.hpp"
#include "time.hpp"

using mirakuru::detail::command_line;
using mirakuru::detail::describe_process;
using mirakuru::detail::for_each_pid;
using mirakuru::detail::process_stat;
using mirakuru::detail::ProcessStat;

namespace {

/// A child that waits for its end. Its name has brackets and blanks, to mislead a parser.
class Child {
 public:
  Child() : pid_{::fork()} {
    if (pid_ != 0) return;
    ::prctl(PR_SET_NAME, "a) R 1 (b");
    for (;;) ::pause();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { reap(); }

  pid_t pid() const { return pid_; }
  std::string file(const char* name) const {
    return test::slurp("/proc/" + std::to_string(pid_) + '/' + name);
  }
  bool has_name() const {
    return test::eventually([this] { return file("comm") == "a) R 1 (b\n"; });
  }
  void make_zombie() {
    ::kill(pid_, SIGKILL);
    siginfo_t info;
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
  }
  void reap() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_;
};

/// This test's command line, as a person would type it.
std::string own_line() {
  auto line = test::slurp("/proc/self/cmdline");
  line.pop_back();  // the last NUL
  std::replace(line.begin(), line.end(), '\0', ' ');
  return line;
}

std::vector<pid_t> all_pids() {
  std::vector<pid_t> pids;
  for_each_pid([&](pid_t pid) {
    pids.push_back(pid);
    return true;
  });
  return pids;
}

bool contains(const std::vector<pid_t>& pids, pid_t pid) {
  return std::find(pids.begin(), pids.end(), pid) != pids.end();
}

}  // namespace

constexpr bool lives(char state, pid_t threads) {
  ProcessStat stat;
  stat.state = state;
  stat.threads = threads;
  return stat.lives();
}
static_assert(!lives(0, 0));
static_assert(lives('?', 0));
static_assert(lives('S', 1));
static_assert(!lives('Z', 1));
static_assert(!lives('X', 1));
static_assert(lives('Z', 2));

TEST_CASE("process_stat: the fields of this process") {
  const auto stat = process_stat(::getpid());
  CHECK(stat.state == 'R');
  CHECK(stat.parent == ::getppid());
  CHECK(stat.group == ::getpgrp());
  CHECK(stat.threads >= 1);
  CHECK(stat.lives());
}

TEST_CASE("process_stat: a process name with brackets does not mislead") {
  Child child;
  REQUIRE(child.has_name());
  REQUIRE(test::eventually([&] { return process_stat(child.pid()).state == 'S'; }));
  const auto stat = process_stat(child.pid());
  CHECK(stat.parent == ::getpid());
  CHECK(stat.group == ::getpgrp());
  // A sanitizer may have a thread of its own.
  CHECK(child.file("status").find("Threads:\t" + std::to_string(stat.threads) + '\n') !=
        std::string::npos);
  CHECK(stat.started >= process_stat(::getpid()).started);
}

TEST_CASE("process_stat: a zombie does not live, and a reaped process has no state") {
  Child child;
  const pid_t pid = child.pid();
  child.make_zombie();
  CHECK(process_stat(pid).state == 'Z');
  CHECK_FALSE(process_stat(pid).lives());
  child.reap();
  CHECK(process_stat(pid).state == 0);
  CHECK_FALSE(process_stat(pid).lives());
}

TEST_CASE("process_stat: without a descriptor the state is not known") {
  CHECK(test::in_child([] {
          const rlimit none{.rlim_cur = 0, .rlim_max = 0};
          return ::setrlimit(RLIMIT_NOFILE, &none) == 0 && process_stat(::getpid()).state == '?';
        }) == 0);
}

TEST_CASE("command_line: the arguments with blanks between them") {
  CHECK(command_line(::getpid()) == own_line());
}

TEST_CASE("command_line: the name in brackets if there are no arguments") {
  Child child;
  REQUIRE(child.has_name());
  child.make_zombie();
  CHECK(command_line(child.pid()) == "[a) R 1 (b]");
}

TEST_CASE("describe_process: the id and the command line") {
  const auto pid = std::to_string(::getpid());
  CHECK(describe_process(::getpid()) == "pid " + pid + " (" + own_line() + ')');
}

TEST_CASE("for_each_pid: each process is visited until the visitor has enough") {
  Child child;
  const auto pids = all_pids();
  CHECK(contains(pids, ::getpid()));
  CHECK(contains(pids, child.pid()));
  const pid_t gone = child.pid();
  child.reap();
  CHECK_FALSE(contains(all_pids(), gone));
  int visits = 0;
  CHECK(for_each_pid([&](pid_t) { return ++visits < 2; }));
  CHECK(visits == 2);
}

TEST_CASE("for_each_pid: false if /proc cannot be read") {
  CHECK(test::in_child([] {
          const rlimit none{.rlim_cur = 0, .rlim_max = 0};
          return ::setrlimit(RLIMIT_NOFILE, &none) == 0 &&
                 !for_each_pid([](pid_t) { return true; });
        }) == 0);
}
