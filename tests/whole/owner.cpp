// SPDX-License-Identifier: BSL-1.0

// The states of an owner, and the parts of it that stay unchanged: the same for each spawner.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "child.hpp"
#include "files.hpp"
#include "net.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

TYPE_TO_STRING(mk::DirectSpawner);
TYPE_TO_STRING(mk::GuardedSpawner);

namespace {

/// The values that the helper program sees of itself after a start in this process.
template <class Spawner>
std::map<std::string, std::string> inspect() {
  const test::TempDir directory;
  mk::Executor<Spawner>{{test::helper(), "inspect", directory / "seen"}}.start().wait();
  return test::read_inspect(directory / "seen");
}

}  // namespace

TEST_CASE_TEMPLATE("Owner: the command has three descriptors and no more", Spawner,
                   mk::DirectSpawner, mk::GuardedSpawner) {
  const int leaked = ::open("/dev/null", O_RDONLY);  // without close-on-exec, as in careless owners
  const int high = ::dup2(leaked, 900);
  auto seen = inspect<Spawner>();
  CHECK(seen["fds"] == "0,1,2");
  CHECK(seen["stdin"] == "pipe");
  CHECK(seen["stdout"] == "file");
  CHECK(seen["stderr"] == "file");
  ::close(leaked);
  ::close(high);
}

TEST_CASE_TEMPLATE("Owner: its blocked and ignored signals do not reach the command", Spawner,
                   mk::DirectSpawner, mk::GuardedSpawner) {
  CHECK(test::in_child([] {
          sigset_t all;
          ::sigfillset(&all);
          ::sigprocmask(SIG_SETMASK, &all, nullptr);
          for (const int signal : {SIGINT, SIGTERM, SIGPIPE, SIGHUP, SIGQUIT, SIGUSR1})
            ::signal(signal, SIG_IGN);
          auto seen = inspect<Spawner>();
          // Two real-time signals belong to the C library, and only it can reset them.
          const auto mask = [](const std::string& hex) {
            return std::stoull(hex, nullptr, 16) & ~0x180000000ULL;
          };
          return mask(seen["blocked"]) == 0 && mask(seen["ignored"]) == 0;
        }) == 0);
}

TEST_CASE_TEMPLATE("Owner: the exit is noticed without pidfd_open", Spawner, mk::DirectSpawner,
                   mk::GuardedSpawner) {
  CHECK(test::in_child([] {
          if (!test::take_away(SYS_pidfd_open)) return false;
          mk::Executor<Spawner> executor{{test::helper(), "exit", "5", "after=50"}};
          const test::Elapsed elapsed;
          if (executor.start().wait().exit_code() != 5 || elapsed >= 5s) return false;
          mk::Executor failing{{test::helper(), "exit", "6", "after=50"},
                               Spawner{},
                               mk::TCPCheck{"127.0.0.1", test::free_port()}};
          try {
            failing.start();
          } catch (const mk::ProcessExitedWithError& error) {
            if (error.exit_code() != 6) return false;
          }
          mk::Executor<Spawner> stopped{"sleep 300"};
          return stopped.start().stop().exit_code() == -SIGTERM;
        }) == 0);
}

TEST_CASE_TEMPLATE("Owner: one without standard streams can start", Spawner, mk::DirectSpawner,
                   mk::GuardedSpawner) {
  CHECK(test::in_child([] {
          ::close(0);
          ::close(1);
          ::close(2);
          auto seen = inspect<Spawner>();
          const bool intact = ::fcntl(0, F_GETFD) < 0 && ::fcntl(1, F_GETFD) < 0;
          return intact && seen["fds"] == "0,1,2" && seen["stdin"] == "pipe" &&
                 seen["stdout"] == "file" && seen["stderr"] == "file";
        }) == 0);
}

TEST_CASE_TEMPLATE("Owner: one that ignores SIGCHLD can start and stop", Spawner, mk::DirectSpawner,
                   mk::GuardedSpawner) {
  CHECK(test::in_child([] {
          ::signal(SIGCHLD, SIG_IGN);
          mk::Executor<Spawner> executor{"sleep 300"};
          const auto pid = executor.start().pid();
          executor.stop();
          if (test::alive(pid) || executor.running()) return false;
          // Only newer kernels report the exit status of a reaped process; all report its end.
          mk::Executor<Spawner> failing{{test::helper(), "exit", "5"}};
          const auto code = failing.start().wait().exit_code();
          return code == 5 || code == 0;
        }) == 0);
}

TEST_CASE_TEMPLATE("Owner: one that reaps every child can start and stop", Spawner,
                   mk::DirectSpawner, mk::GuardedSpawner) {
  CHECK(test::in_child([] {
          ::signal(SIGCHLD, [](int) {
            const int error = errno;
            while (::waitpid(-1, nullptr, WNOHANG) > 0) {
            }
            errno = error;
          });
          mk::Executor<Spawner> executor{"sleep 300"};
          const auto pid = executor.start().pid();
          executor.stop();
          return !test::alive(pid) && !executor.running();
        }) == 0);
}

TEST_CASE_TEMPLATE("Owner: one without a free descriptor gets an error", Spawner, mk::DirectSpawner,
                   mk::GuardedSpawner) {
  if (test::sanitized) return;  // a sanitizer needs one itself
  CHECK(test::in_child([] {
          while (::dup(0) >= 0) {
          }
          mk::Executor<Spawner> executor{"sleep 300"};
          try {
            executor.start();
          } catch (const mk::SpawnError& error) {
            return error.code() == std::errc::too_many_files_open && !executor.running();
          }
          return false;
        }) == 0);
}

TEST_CASE_TEMPLATE("Owner: one that runs out of descriptors can still stop", Spawner,
                   mk::DirectSpawner, mk::GuardedSpawner) {
  if (test::sanitized) return;
  CHECK(test::in_child([] {
          mk::Executor executor{
              {test::helper(), "ignore", "TERM"},
              Spawner{},
              mk::TimeoutBudget{.stop = 50ms},
              [](const mk::Process& process) { return process.output() == "ready\n"; }};
          const auto pid = executor.start().pid();
          while (::dup(0) >= 0) {
          }
          executor.stop();
          return !executor.running() && !test::alive(pid);
        }) == 0);
}

TEST_CASE_TEMPLATE("Owner: its fork does not end the command", Spawner, mk::DirectSpawner,
                   mk::GuardedSpawner) {
  mk::Executor<Spawner> executor{"sleep 300"};
  executor.start();
  CHECK(test::in_child([&] {
          auto mine = std::move(executor);  // its destructor runs here
          return !mine.running();
        }) == 0);
  CHECK(executor.running());
  CHECK(executor.stop().exit_code() == -SIGTERM);
}

TEST_CASE_TEMPLATE("Owner: a run changes nothing in its process", Spawner, mk::DirectSpawner,
                   mk::GuardedSpawner) {
  struct State {
    sigset_t mask{};
    std::array<struct sigaction, 32> actions{};
    mode_t umask = 0;
    std::string cwd;
    std::vector<int> descriptors = test::open_fds();
    std::size_t threads = 0, children = test::children_of(::getpid()).size();

    State() {
      ::sigprocmask(SIG_SETMASK, nullptr, &mask);
      for (int i = 1; i < 32; ++i) ::sigaction(i, nullptr, &actions[static_cast<std::size_t>(i)]);
      ::umask(umask = ::umask(0));
      char buffer[4096];
      cwd = ::getcwd(buffer, sizeof buffer);
      const auto status = test::slurp("/proc/self/status");
      threads = std::stoul(status.substr(status.find("Threads:") + 8));
    }
  };
  const State before;
  {
    const test::Port port;
    mk::Executor<Spawner, mk::TCPCheck> executor{
        {test::helper(), "listen", "127.0.0.1", port.str()},
        mk::TCPCheck{"localhost", port.number()}};
    executor.start().stop().start().kill();
  }
  const State after;
  for (int i = 1; i < 32; ++i) {
    CHECK(::sigismember(&before.mask, i) == ::sigismember(&after.mask, i));
    const auto n = static_cast<std::size_t>(i);
    const bool same_handler = before.actions[n].sa_handler == after.actions[n].sa_handler;
    CHECK(same_handler);
    CHECK(before.actions[n].sa_flags == after.actions[n].sa_flags);
  }
  CHECK(before.umask == after.umask);
  CHECK(before.cwd == after.cwd);
  CHECK(before.descriptors == after.descriptors);
  CHECK(before.threads == after.threads);
  CHECK(before.children == after.children);
}

TEST_CASE_TEMPLATE("Owner: every descriptor of a run is close-on-exec", Spawner, mk::DirectSpawner,
                   mk::GuardedSpawner) {
  const auto before = test::open_fds();
  mk::Executor<Spawner> executor{"sleep 300"};
  executor.start();
  int opened = 0;
  for (const int fd : test::open_fds()) {
    if (std::find(before.begin(), before.end(), fd) != before.end()) continue;
    ++opened;
    CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  }
  CHECK(opened > 0);
}

TEST_CASE_TEMPLATE("Owner: a stopped process is ended", Spawner, mk::DirectSpawner,
                   mk::GuardedSpawner) {
  mk::Executor<Spawner> executor{"sleep 300", mk::TimeoutBudget{.stop = 100ms}};
  executor.start();
  REQUIRE(::kill(executor.pid(), SIGSTOP) == 0);
  executor.stop();
  CHECK_FALSE(executor.running());
}
