// SPDX-License-Identifier: BSL-1.0
// Hosts and commands at their worst, under both spawners where it matters.
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>
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

namespace {

constexpr unsigned faccessat2 = 439;

/// The first error of an executor's start; empty if it starts.
template <class Executor>
std::string failure(Executor&& executor) {
  try {
    executor.start();
  } catch (const mk::ExecutorError& error) {
    return error.what();
  }
  return "";
}

/// A program that this process holds open for writing until the end of `held`, from now on.
class HeldProgram {
 public:
  explicit HeldProgram(std::chrono::milliseconds held) {
    std::filesystem::copy_file("/bin/true", path_);
    writer_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    closer_ = std::thread{[this, held] {
      std::this_thread::sleep_for(held);
      ::close(writer_);
    }};
  }
  HeldProgram(const HeldProgram&) = delete;
  HeldProgram& operator=(const HeldProgram&) = delete;
  ~HeldProgram() { closer_.join(); }

  const std::string& path() const { return path_; }

 private:
  test::TempDir directory_;
  std::string path_ = directory_ / "program";
  int writer_ = -1;
  std::thread closer_;
};

bool is_root() { return ::geteuid() == 0; }

/// Makes each program hang in its execution: nobody answers this listener.
bool hang_in_execve() {
  std::array filter{
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execve, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = filter.size(), .filter = filter.data()};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                   &program) >= 0;
}

/// Enters a host whose /proc is empty.
bool take_proc_away() {
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("none", "/proc", "tmpfs", 0, nullptr) == 0;
}

}  // namespace

TEST_CASE_TEMPLATE("Spawner: a program that is written until now is executed", Spawner,
                   mk::GuardedSpawner, mk::DirectSpawner) {
  const HeldProgram program{150ms};
  mk::Executor executor{{program.path()}, Spawner{}};
  CHECK(executor.start().wait().exit_code() == 0);
}

TEST_CASE_TEMPLATE("Spawner: a program that is always being written is reported", Spawner,
                   mk::GuardedSpawner, mk::DirectSpawner) {
  const HeldProgram program{5s};
  const test::Elapsed elapsed;
  const auto error = failure(mk::Executor{{program.path()}, Spawner{}});
  CHECK(error.starts_with("cannot run " + program.path() + ": text file busy"));
  CHECK(elapsed < 8s);
}

TEST_CASE_TEMPLATE("Spawner: a program that is being written keeps to the start budget", Spawner,
                   mk::GuardedSpawner, mk::DirectSpawner) {
  std::chrono::nanoseconds least = 1h;
  for (int tries = 0; tries < 5 && least >= 1900ms; ++tries) {
    const HeldProgram program{3s};
    const test::Elapsed elapsed;
    const auto error =
        failure(mk::Executor{{program.path()}, Spawner{}, mk::TimeoutBudget{.start = 300ms}});
    least = std::min<std::chrono::nanoseconds>(least, elapsed.time());
    if (least < 1900ms)
      CHECK(error.starts_with("cannot run " + program.path() + ": text file busy"));
  }
  CHECK(least < 1900ms);
}

TEST_CASE_TEMPLATE("Spawner: threads may write programs and start them", Spawner,
                   mk::GuardedSpawner, mk::DirectSpawner) {
  const test::TempDir directory;
  std::atomic<int> started = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, path = directory / std::to_string(t)] {
      for (int i = 0; i < 25; ++i) {
        std::filesystem::remove(path);
        std::filesystem::copy_file("/bin/true", path);
        try {
          mk::Executor{{path}, Spawner{}}.start().wait();
          ++started;
        } catch (const mk::SpawnError&) {
        }
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(started == 100);
}

TEST_CASE("GuardedSpawner: without a subreaper nothing is started") {
  const auto mark = test::mark();
  CHECK(test::in_child([&] {
          if (!test::take_away(SYS_prctl, EPERM, 0, ~0U, PR_SET_CHILD_SUBREAPER)) return false;
          const auto error = failure(mk::Executor{mk::Shell{"sleep 300; : " + mark}});
          return error.starts_with(
              "cannot start: prctl(PR_SET_CHILD_SUBREAPER): Operation not "
              "permitted");
        }) == 0);
  CHECK(test::processes_matching(mark) == 0);
}

TEST_CASE("GuardedSpawner: a program that hangs in its execution keeps to the start budget") {
  if (test::sanitized) return;
  CHECK(test::in_child([] {
          if (!hang_in_execve()) return errno == EBUSY;  // a host that has one already
          mk::Executor executor{"sleep 300", mk::TimeoutBudget{.start = 1200ms}};
          const test::Elapsed elapsed;
          try {
            executor.start();
          } catch (const mk::TimeoutExpired& error) {
            const std::string text = error.what();
            return elapsed.time() > 1s && elapsed < 5s && !executor.running() &&
                   test::contains(text, "it is not being executed yet");
          }
          return false;
        }) == 0);
}

TEST_CASE("GuardedSpawner: a program that hangs in its execution is told") {
  if (test::sanitized) return;
  CHECK(test::in_child([] {
          if (!hang_in_execve()) return errno == EBUSY;  // a host that has one already
          std::string told;
          mk::Executor executor{"sleep 300", mk::TimeoutBudget{.start = 7s},
                                [&](const mk::Event& event) { told += mk::line_of(event) + '\n'; }};
          const auto error = failure(executor);
          if (test::contains(error, "it is not being executed yet") &&
              told.starts_with("sleep 300: still waiting for its execution, 5") &&
              told.ends_with(" of 7 s\n") && test::count(told, "\n") == 1)
            return true;
          std::fprintf(stderr, "%s\n%s", error.c_str(), told.c_str());
          return false;
        }) == 0);
}

TEST_CASE("GuardedSpawner: the tree of a killed guardian ends without a /proc, too") {
  if (!is_root() || test::sanitized) return;
  const auto mark = test::mark();
  const test::TempDir directory;
  const auto started = directory / "started";
  CHECK(test::in_child([&] {
          if (!take_proc_away()) return false;
          mk::Executor executor{
              mk::Shell{"setsid sh -c 'sleep 300; : " + mark + "' & until [ -e " + started +
                        " ]; do sleep 0.01; done; kill -9 $PPID; wait; : " + mark},
              mk::TimeoutBudget{.stop = 500ms}};
          executor.start();
          std::ofstream{started} << "yes";
          executor.wait();  // the leader ends with the guardian
          const test::Elapsed elapsed;
          try {
            executor.stop();
          } catch (const mk::ExecutorError& error) {
            const std::string text = error.what();
            if (elapsed < 5s && test::contains(text, "its guardian was ended by signal 9"))
              return true;
            std::fprintf(stderr, "after %g s: %s\n", elapsed.seconds(), error.what());
          }
          return false;
        }) == 0);
  CHECK(test::eventually([&] { return test::processes_matching(mark) == 0; }));
}

TEST_CASE("Executor: without a /proc one that runs is printed as running") {
  if (!is_root() || test::sanitized) return;
  CHECK(test::in_child([] {
          if (!take_proc_away()) return false;
          mk::SimpleExecutor executor{"sleep 300"};
          std::ostringstream text;
          text << executor.start();
          return text.str().ends_with(", running)");
        }) == 0);
}

TEST_CASE_TEMPLATE("Spawner: a stop keeps its budget without a /proc", Spawner, mk::GuardedSpawner,
                   mk::DirectSpawner) {
  if (!is_root() || test::sanitized) return;
  CHECK(test::in_child([] {
          if (!take_proc_away()) return false;
          mk::Executor executor{
              mk::Shell{"trap '' TERM; sleep 300 & setsid sleep 1 & echo up; wait; wait"},
              Spawner{}, mk::BannerCheck{"up"}, mk::TimeoutBudget{.start = 10s, .stop = 500ms}};
          executor.start();
          const test::Elapsed elapsed;
          executor.stop();
          return elapsed < 4s && executor.exit_code() == -SIGKILL;
        }) == 0);
}

TEST_CASE_TEMPLATE("Spawner: a process that may not be signalled is named, and the budget is kept",
                   Spawner, mk::GuardedSpawner, mk::DirectSpawner) {
  if (!is_root() || test::sanitized) return;
  const test::TempDir directory;
  const auto setpriv = directory / "setpriv";
  std::filesystem::copy_file("/usr/bin/setpriv", setpriv);
  REQUIRE(::chmod(setpriv.c_str(), 04755) == 0);
  REQUIRE(::chmod(directory.path().c_str(), 0755) == 0);
  CHECK(test::in_child([&] {
          if (::setresuid(65534, 65534, 65534) != 0) return false;
          mk::Executor executor{
              {setpriv, "--reuid=0", "sleep", "9.25"}, Spawner{}, mk::TimeoutBudget{.stop = 300ms}};
          executor.start();
          if (!test::eventually([&] {
                return test::slurp("/proc/" + std::to_string(executor.pid()) + "/comm") ==
                       "sleep\n";
              }))
            return false;
          const test::Elapsed elapsed;
          try {
            executor.stop();
          } catch (const mk::ExecutorError& error) {
            const std::string text = error.what();
            return elapsed < 4s && text.starts_with("a process may not be ended\n") &&
                   test::contains(text, std::to_string(executor.pid())) &&
                   test::contains(text, "another user, and may not be signalled");
          }
          return false;
        }) == 0);
}

TEST_CASE("GuardedSpawner: a tracer sees a guardian as a process, not as a thread") {
  if (test::sanitized) return;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    mk::SimpleExecutor{"sleep 300"}.start();
    ::_exit(0);
  }
  int status = 0, threads = 0, forks = 0;
  ::waitpid(child, &status, 0);
  ::ptrace(PTRACE_SETOPTIONS, child, 0,
           PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL);
  ::ptrace(PTRACE_CONT, child, 0, 0);
  for (int events = 0; events < 1000; ++events) {
    const pid_t pid = ::waitpid(-1, &status, __WALL);
    if (pid < 0 || (pid == child && (WIFEXITED(status) || WIFSIGNALED(status)))) break;
    if (!WIFSTOPPED(status)) continue;
    threads += status >> 8 == (SIGTRAP | PTRACE_EVENT_CLONE << 8);
    forks += status >> 8 == (SIGTRAP | PTRACE_EVENT_FORK << 8);
    const bool ours = status >> 16 != 0 || WSTOPSIG(status) == SIGSTOP;
    ::ptrace(PTRACE_CONT, pid, 0, ours ? 0 : WSTOPSIG(status));
  }
  CHECK(threads == 0);
  CHECK(forks == 1);
}

TEST_CASE_TEMPLATE("Inherit: a host's stream that is close-on-exec is there", Spawner,
                   mk::GuardedSpawner, mk::DirectSpawner) {
  const test::TempDir directory;
  const auto file = directory / "out";
  CHECK(test::in_child([&] {
          const int out = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
          ::dup3(out, 1, O_CLOEXEC);
          mk::Executor{mk::Shell{"echo hello"}, Spawner{}, mk::Inherit{}}.start().wait();
          return test::slurp(file) == "hello\n";
        }) == 0);
}

TEST_CASE("ToFile: a path that is no regular file is refused") {
  const test::TempDir directory;
  REQUIRE(::mkfifo((directory / "fifo").c_str(), 0600) == 0);
  for (const std::string& path : {directory / "fifo", std::string{"/dev/null"}})
    CHECK(failure(mk::Executor{"sleep 300", mk::ToFile{path}})
              .starts_with("cannot start: open " + path + ": it is no regular file"));
}

TEST_CASE("local_exec: a refused look ahead leaves the last word to the kernel") {
  CHECK(test::in_child([] {
          return test::take_away(faccessat2, EPERM) && failure(mk::Executor{"true"}) == "";
        }) == 0);
}

TEST_CASE("TCPCheck: a listener with a full queue has the port") {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(listener, 0) == 0);
  socklen_t size = sizeof address;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  std::vector<int> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    ::connect(clients.back(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  }
  std::chrono::nanoseconds least = 1h;
  for (int tries = 0; tries < 10 && least >= 900ms; ++tries) {
    const test::Elapsed elapsed;
    mk::TCPExecutor executor{"sleep 300", mk::TCPCheck{"127.0.0.1", ntohs(address.sin_port)}};
    CHECK_THROWS_AS(executor.start(), mk::AlreadyRunning);
    least = std::min<std::chrono::nanoseconds>(least, elapsed.time());
  }
  CHECK(least < 900ms);
  for (const int client : clients) ::close(client);
  ::close(listener);
}

TEST_CASE("CgroupSpawner: a failed start leaves no group") {
  std::string parent;
  try {
    mk::Executor executor{"sleep 300", mk::CgroupSpawner{}};
    executor.start();
    parent = mk::detail::own_cgroup();
  } catch (const mk::SpawnError& error) {
    MESSAGE("no cgroup to test with: ", error.what());
    return;
  }
  CHECK(test::in_child([&] {
          rlimit limit{};
          ::getrlimit(RLIMIT_NOFILE, &limit);
          const auto before = limit;
          for (limit.rlim_cur = 4; limit.rlim_cur < 24; ++limit.rlim_cur) {
            ::setrlimit(RLIMIT_NOFILE, &limit);
            failure(mk::Executor{"sleep 300", mk::CgroupSpawner{}});
          }
          ::setrlimit(RLIMIT_NOFILE, &before);
          // Other tests have groups of their own there.
          const auto own = "mirakuru-" + std::to_string(::getpid()) + '-';
          for (const auto& entry : std::filesystem::directory_iterator{parent})
            if (entry.path().filename().string().starts_with(own)) return false;
          return true;
        }) == 0);

  // The next start removes the group of an owner that was killed before it had a guardian.
  const pid_t gone = ::fork();
  if (gone == 0) ::_exit(0);
  ::waitpid(gone, nullptr, 0);
  const auto orphan = parent + "/mirakuru-" + std::to_string(gone) + "-0";
  REQUIRE(::mkdir(orphan.c_str(), 0755) == 0);
  mk::Executor{"sleep 300", mk::CgroupSpawner{}}.start();
  CHECK_FALSE(test::exists(orphan));
}
