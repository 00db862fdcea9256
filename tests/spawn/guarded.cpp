// SPDX-License-Identifier: BSL-1.0
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "child.hpp"
#include "files.hpp"
#include "mark.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::parent_of;
using test::status_of;

static_assert(mk::SimpleExecutor::guarantee() == mk::Guarantee::tree_ends_with_owner);

namespace {

/// Files for the ids of the processes of a tree, and a marker in their arguments.
struct Traces {
  test::TempDir directory;
  std::string mark = "mark=" + directory.path();

  /// Arguments for the helper program.
  [[nodiscard]] std::string pidfile(const std::string& name = "pid") const {
    return "pidfile=" + (directory / name);
  }
  [[nodiscard]] std::vector<pid_t> pids() const {
    std::vector<pid_t> all;
    for (const auto* name : {"pid", "daemon", "session", "tree", "group"})
      for (const auto pid : test::read_pids(directory / name)) all.push_back(pid);
    return all;
  }
  /// True when no process of the tree is left, nor its guardian.
  [[nodiscard]] bool gone() const {
    const auto all = pids();
    return std::none_of(all.begin(), all.end(), test::alive) && test::processes_matching(mark) == 0;
  }
};

/// Every way out of a process group, and every way to ignore signals.
std::string tree_that_escapes(const Traces& traces) {
  const auto helper = [&](const std::string& verb, const std::string& pids) {
    return test::helper() + ' ' + verb + ' ' + traces.pidfile(pids) + ' ' + traces.mark;
  };
  return helper("daemon env=clear", "daemon") + "; " +  // double fork, setsid, no environment
         "setsid " + helper("ignore all", "session") + " & " + "setsid " +
         helper("tree depth=2 width=3 setsid=1 ignore=all", "tree") + " & " +
         helper("ignore TERM", "group") + " & " + "setsid sh -c 'kill -STOP $$' " + traces.mark +
         " & " +                                                   // stopped
         "while :; do setsid sleep 0.01 & sleep 0.001; done & " +  // forking all the time
         "echo up; exec sleep 300";
}
constexpr std::size_t tree_size = 1 + 1 + 12 + 1;  // processes that write their ids

[[noreturn]] void throw_it() { throw std::runtime_error{"uncaught, as the test wants it"}; }

/// Runs `run` in its own process, the owner; returns its id.
template <class Run>
pid_t owner(Run run) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    try {
      run();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "in the owner: %s\n", error.what());
    }
    ::_exit(1);
  }
  return pid;
}

}  // namespace

TEST_CASE("GuardedSpawner: the guardian is between owner and command, and has its own title") {
  mk::SimpleExecutor executor{"sleep 300"};
  executor.start();
  const pid_t guardian = parent_of(executor.pid()), self = ::getpid();
  CHECK(parent_of(guardian) == self);
  CHECK(test::slurp("/proc/" + std::to_string(guardian) + "/comm") == "mirakuru\n");
  auto title = test::slurp("/proc/" + std::to_string(guardian) + "/cmdline");
  title.resize(title.find('\0'));
  CHECK(title == "mirakuru: guards sleep 300");
  CHECK(::getsid(guardian) == guardian);
  CHECK(::getsid(executor.pid()) == executor.pid());
  executor.stop();
  CHECK_FALSE(test::alive(guardian));
}

TEST_CASE("GuardedSpawner: the title of a long command is cut") {
  const std::string word(5000, 'w');
  mk::SimpleExecutor executor{{"sh", "-c", "exec sleep 300", word}};
  executor.start();
  const auto guardian = "/proc/" + std::to_string(parent_of(executor.pid()));
  const auto title = test::slurp(guardian + "/cmdline");
  CHECK(title.find("mirakuru: guards sh -c exec sleep 300 www") == 0);
  CHECK(title.find(std::string(1001, 'w')) == std::string::npos);
}

namespace {

/// A private mapping, with or without a file; all its pages have been written.
struct Written {
  explicit Written(std::size_t megabytes, std::FILE* file = nullptr)
      : size{megabytes << 20},
        pages{static_cast<char*>(::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | (file != nullptr ? 0 : MAP_ANONYMOUS),
                                        file != nullptr ? ::fileno(file) : -1, 0))} {
    for (std::size_t at = 0; pages != MAP_FAILED && at < size; at += 1024) pages[at] = 'x';
  }
  ~Written() { ::munmap(pages, size); }
  Written(const Written&) = delete;
  Written& operator=(const Written&) = delete;

  std::size_t size;
  char* pages;
};

bool lean(pid_t guardian) {
  return status_of(guardian, "VmRSS") <= 4096 && status_of(guardian, "RssAnon") <= 1024;
}

char zeroed[std::size_t{16} << 20];

}  // namespace

TEST_CASE("GuardedSpawner: the guardian keeps three descriptors, not the owner's memory") {
  const Written large{300};
  REQUIRE(large.pages != MAP_FAILED);
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  REQUIRE(::ftruncate(::fileno(file), 32 << 20) == 0);
  const Written of_file{32, file};
  REQUIRE(of_file.pages != MAP_FAILED);
  for (std::size_t at = 0; at < sizeof zeroed; at += 1024) zeroed[at] = 'x';
  const std::vector<char> heap(std::size_t{64} << 20, 'x');
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  std::thread other;
  SUBCASE("the owner has one thread") {}
  SUBCASE("the owner has several threads") {
    other = std::thread{[&] {
      std::unique_lock lock{mutex};
      changed.wait(lock, [&] { return done; });
    }};
  }
  mk::SimpleExecutor executor{"sleep 300"};
  executor.start();
  const pid_t guardian = parent_of(executor.pid());
  CHECK(test::eventually([&] {
    std::size_t descriptors = 0;
    test::each_number_in(("/proc/" + std::to_string(guardian) + "/fd").c_str(),
                         [&](int, int) { ++descriptors; });
    return descriptors <= 3;
  }));
  if (!test::sanitized) CHECK(test::eventually([&] { return lean(guardian); }));
  // The owner keeps its memory, and a fork of it has the memory, too.
  CHECK(test::in_child([&] {
          return large.pages[large.size - 1024] == 'x' && of_file.pages[0] == 'x' &&
                 zeroed[0] == 'x' && heap.back() == 'x';
        }) == 0);
  executor.stop();
  {
    const std::lock_guard lock{mutex};
    done = true;
  }
  changed.notify_one();
  if (other.joinable()) other.join();
  std::fclose(file);
}

TEST_CASE("GuardedSpawner: memory that cannot be unmapped costs the guardian nothing more") {
  CHECK(test::in_child([] {
          const Written large{64};
          char* const page = large.pages + (32 << 20);
          constexpr long mseal = 462;  // the same on all machines, since Linux 6.10
          if (::syscall(mseal, page, 4096UL, 0UL) != 0) return errno == ENOSYS;
          const mk::SimpleExecutor executor = [] {
            mk::SimpleExecutor started{"sleep 300"};
            started.start();
            return started;
          }();
          const pid_t guardian = parent_of(executor.pid());
          return test::sanitized || test::eventually([&] { return lean(guardian); });
        }) == 0);
}

TEST_CASE("GuardedSpawner: a start sees the end of its command while the guardian is stopped") {
  const test::TempDir directory;
  const auto pid_file = directory / "pid";
  std::thread somebody{[&] {
    pid_t leader = 0;
    if (!test::eventually([&] { return std::ifstream{pid_file} >> leader; }, 5s)) return;
    ::kill(parent_of(leader), SIGSTOP);
    ::kill(leader, SIGKILL);
  }};
  mk::Executor executor{mk::Shell{"echo $$ > " + pid_file + "; exec sleep 300"},
                        mk::UnixSocketCheck{directory / "never"}, mk::TimeoutBudget{.start = 20s}};
  CHECK_THROWS_AS(executor.start(), mk::ProcessExitedWithError);
  somebody.join();
}

TEST_CASE("GuardedSpawner: neither wait() nor SIGCHLD shows the owner the guardian") {
  CHECK(test::in_child([] {
          static volatile sig_atomic_t seen = 0;
          ::signal(SIGCHLD, [](int) { seen = seen + 1; });
          mk::SimpleExecutor executor{{test::helper(), "exit", "7"}};
          executor.start().wait();
          const bool none = ::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD;
          return none && executor.exit_code() == 7 && seen == 0;
        }) == 0);
}

TEST_CASE("GuardedSpawner: the exit status is exact, even if the owner reaps every child") {
  for (const auto disposition : {SIG_DFL, SIG_IGN})
    CHECK(test::in_child([&] {
            ::signal(SIGCHLD, disposition);
            mk::SimpleExecutor executor{{test::helper(), "exit", "5"}};
            mk::SimpleExecutor killed{{test::helper(), "raise", "SEGV"}};
            return executor.start().wait().exit_code() == 5 &&
                   killed.start().wait().exit_code() == -SIGSEGV;
          }) == 0);
}

TEST_CASE("GuardedSpawner: an owner may have a low limit on open files") {
  CHECK(test::in_child([] {
          const auto high = static_cast<rlim_t>(::dup(0) + 12);
          const rlimit limit{high, high};
          ::setrlimit(RLIMIT_NOFILE, &limit);
          mk::SimpleExecutor executor{"sleep 300"};
          return executor.start().stop().exit_code() == -SIGTERM;
        }) == 0);
}

TEST_CASE("GuardedSpawner: without close_range the descriptors are closed one by one") {
  CHECK(test::in_child([] {
          if (!test::take_away(SYS_close_range)) return false;
          const test::TempDir directory;
          const int high = ::dup2(0, 900);
          mk::SimpleExecutor executor{{test::helper(), "inspect", directory / "seen", "stay"}};
          executor.start().wait_for(
              [&] { return test::read_inspect(directory / "seen").contains("fds"); }, 5s);
          const auto own = "/proc/" + std::to_string(parent_of(executor.pid())) + "/fd";
          const auto has_three = [&] {  // and another for a moment, to read /proc
            std::size_t descriptors = 0;
            test::each_number_in(own.c_str(), [&](int, int) { ++descriptors; });
            return descriptors <= 3;
          };
          return high == 900 && test::eventually(has_three) &&
                 test::read_inspect(directory / "seen")["fds"] == "0,1,2";
        }) == 0);
}

TEST_CASE("GuardedSpawner: a command that cannot run leaves no guardian") {
  const auto before = test::children_of(::getpid());
  const test::TempDir directory;
  std::fclose(std::fopen((directory / "empty").c_str(), "w"));
  REQUIRE(::chmod((directory / "empty").c_str(), 0755) == 0);
  CHECK_THROWS_AS(mk::SimpleExecutor{mk::Argv{directory / "empty"}}.start(), mk::SpawnError);
  CHECK(test::children_of(::getpid()) == before);
}

TEST_CASE("GuardedSpawner: a daemon whose owner ends without a stop is gone [scenario 19]") {
  const Traces traces;
  CHECK(test::in_child([&] {
          mk::Executor executor{{test::helper(), "daemon", traces.pidfile(), traces.mark},
                                mk::TimeoutBudget{.stop = 100ms}};
          executor.start().wait();
          ::_exit(executor.exit_code() == 0 && executor.running() ? 0 : 1);
          return true;
        }) == 0);
  CHECK(traces.pids().size() == 1);
  CHECK(test::eventually([&] { return traces.gone(); }));
}

TEST_CASE("GuardedSpawner: kill() ends the daemon of a leader that is gone [scenario 23]") {
  const Traces traces;
  mk::SimpleExecutor executor{{test::helper(), "daemon", traces.pidfile(), traces.mark}};
  executor.start().wait();
  CHECK(executor.exit_code() == 0);
  REQUIRE(traces.pids().size() == 1);
  CHECK(test::alive(traces.pids()[0]));
  CHECK(executor.running());
  executor.kill();
  CHECK(traces.gone());
  CHECK_FALSE(executor.running());
  REQUIRE(executor.stragglers().size() == 1);
  CHECK(executor.stragglers()[0].pid == traces.pids()[0]);
  CHECK(executor.stragglers()[0].command.find(traces.mark) != std::string::npos);
}

TEST_CASE("GuardedSpawner: the end of the leader is known as soon as the kernel knows it") {
  mk::SimpleExecutor executor{"sleep 300"};
  for (int i = 0; i < 100; ++i) {
    const pid_t pid = executor.start().pid();
    REQUIRE(::kill(pid, SIGKILL) == 0);
    while (test::alive(pid)) {
    }
    REQUIRE(executor.exit_code() == -SIGKILL);
    REQUIRE_FALSE(executor.running());
  }
}

TEST_CASE("GuardedSpawner: an empty tree is known at once") {
  std::chrono::nanoseconds least = 1h;
  for (int tries = 0; tries < 10 && least >= 500ms; ++tries) {
    const Traces traces;
    mk::SimpleExecutor executor{{test::helper(), "daemon", traces.pidfile(), traces.mark}};
    executor.start().wait();
    REQUIRE(executor.running());
    const test::Elapsed elapsed;
    REQUIRE(::kill(traces.pids().at(0), SIGKILL) == 0);
    CHECK(test::eventually([&] { return !executor.running(); }));
    least = std::min<std::chrono::nanoseconds>(least, elapsed.time());
    executor.stop();
    CHECK(executor.exit_code() == 0);
    CHECK(executor.stragglers().empty());
  }
  CHECK(least < 500ms);
}

TEST_CASE("GuardedSpawner: nothing escapes stop() or kill() [defect 9]") {
  const Traces traces;
  mk::Executor executor{mk::Shell{tree_that_escapes(traces)}, mk::BannerCheck{"up"},
                        mk::TimeoutBudget{.start = 20s, .stop = 300ms}};
  executor.start();
  REQUIRE(test::eventually([&] { return traces.pids().size() == tree_size; }));
  const test::Elapsed elapsed;
  SUBCASE("stop() is called") {
    executor.stop();
    CHECK(elapsed >= 300ms);  // processes that ignore SIGTERM have their time
    CHECK(executor.stragglers().size() >= 11);
  }
  SUBCASE("kill() is called") { executor.kill(); }
  CHECK(elapsed < 5s);
  CHECK(traces.gone());
  CHECK_FALSE(executor.running());
}

TEST_CASE("GuardedSpawner: processes outside the group are signalled once, after the leader") {
  const test::TempDir directory;
  const auto escaped = directory / "escaped", at_the_end = directory / "at-the-end";
  mk::Executor executor{
      mk::Shell{"trap 'sleep 0.1; cp " + escaped + " " + at_the_end + "; exit 0' TERM; setsid " +
                test::helper() + " trap TERM,INT > " + escaped + " & while :; do sleep 0.01; done"},
      [&](const mk::Process&) { return test::slurp(escaped) == "ready\n"; },
      mk::TimeoutBudget{.start = 20s, .stop = 500ms}};
  executor.start().stop();
  CHECK(executor.exit_code() == 0);
  CHECK(test::slurp(at_the_end) == "ready\n");
  CHECK(test::slurp(escaped) == "ready\ngot 15\n");
  CHECK(executor.stragglers().size() == 1);
}

TEST_CASE("GuardedSpawner: it tells many stragglers, and the first hundred of more") {
  std::size_t begun = 0, told = 0;
  SUBCASE("one message has room for sixteen") { begun = told = 40; }
  SUBCASE("there are more than a hundred") { begun = 120, told = 100; }
  const mk::Shell words{"for i in $(seq " + std::to_string(begun) +
                        "); do setsid sh -c 'echo up; exec sleep 300' & done; wait"};
  mk::Executor executor{words,
                        [&](const mk::Process& process) {
                          const auto output = process.output();
                          return std::count(output.begin(), output.end(), '\n') ==
                                 static_cast<long>(begun);
                        },
                        mk::Silent{}};
  executor.start().stop();
  std::set<pid_t> ids;
  for (const auto& straggler : executor.stragglers()) {
    ids.insert(straggler.pid);
    CHECK(straggler.command.find("sleep 300") != std::string::npos);
  }
  CHECK(ids.size() == told);
  CHECK(executor.stragglers().size() == told);
}

TEST_CASE("GuardedSpawner: who ends right after the leader needs no signal") {
  // The leader ends the one outside the group, which takes a moment to be gone.
  mk::Executor executor{
      mk::Shell{"setsid sleep 300 & p=$!; trap 'kill $p; exit 0' TERM; echo up; wait"},
      mk::BannerCheck{"up"}, mk::TimeoutBudget{.start = 20s, .stop = 5s}, mk::Silent{}};
  for (int tries = 0; tries < 10; ++tries) {  // on a busy machine it may take longer than it has
    executor.start().stop();
    if (executor.stragglers().empty()) break;
  }
  CHECK(executor.exit_code() == 0);
  CHECK(executor.stragglers().empty());
}

TEST_CASE("GuardedSpawner: the group has each signal once") {
  std::string output;
  // A busy machine may need more time for a step.
  for (auto wait = 50ms; wait < 5s && output != "ready\ngot 2\ngot 15\n"; wait *= 2) {
    mk::Executor executor{{test::helper(), "trap", "TERM,INT"},
                          mk::BannerCheck{"ready"},
                          mk::SignalLadder{{SIGINT, wait}, {SIGTERM, wait}}};
    executor.start().stop();
    output = executor.output();
    CHECK(executor.exit_code() == -SIGKILL);
    CHECK(executor.stragglers().empty());
  }
  CHECK(output == "ready\ngot 2\ngot 15\n");
}

TEST_CASE("GuardedSpawner: a stopped tree gets its signal soon, too") {
  mk::Executor executor{{test::helper(), "trap", "TERM", "exit=3"},
                        mk::BannerCheck{"ready"},
                        mk::Signals{.accept = {3}}};
  executor.start();
  REQUIRE(::kill(executor.pid(), SIGSTOP) == 0);
  const test::Elapsed elapsed;
  executor.stop();
  CHECK(elapsed < 5s);
  CHECK(executor.exit_code() == 3);
}

TEST_CASE("GuardedSpawner: every kind of end of the owner ends the tree [defect 9]") {
  const Traces traces;
  const auto start = [&](auto end) {
    return owner([&] {
      mk::Executor executor{mk::Shell{tree_that_escapes(traces)}, mk::BannerCheck{"up"},
                            mk::TimeoutBudget{.start = 20s, .stop = 300ms}};
      executor.start();
      executor.wait_for([&] { return traces.pids().size() == tree_size; }, 20s);
      end();
      for (;;) ::pause();
    });
  };
  const auto ends_with = [&](pid_t pid) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    CHECK(test::eventually([&] { return traces.gone(); }));
    CHECK(traces.pids().size() == tree_size);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  };
  const rlimit no_core{0, 0};
  SUBCASE("the owner calls exit") {
    CHECK(ends_with(start([] { std::exit(3); })) == 3);
  }
  SUBCASE("the owner calls _exit") {
    CHECK(ends_with(start([] { ::_exit(4); })) == 4);
  }
  SUBCASE("the owner calls abort") {
    CHECK(ends_with(start([&] {
            ::setrlimit(RLIMIT_CORE, &no_core);
            ::signal(SIGABRT, SIG_DFL);
            std::abort();
          })) == -SIGABRT);
  }
  SUBCASE("the owner has an uncaught exception") {
    CHECK(ends_with(start([&] {
            ::setrlimit(RLIMIT_CORE, &no_core);
            ::signal(SIGABRT, SIG_DFL);
            []() noexcept { throw_it(); }();
          })) == -SIGABRT);
  }
  SUBCASE("the owner calls exec") {
    CHECK(ends_with(start([] { ::execl("/bin/sh", "sh", "-c", "exit 7", nullptr); })) == 7);
  }
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGKILL}) {
    SUBCASE(("the owner is ended by signal " + std::to_string(signal)).c_str()) {
      const pid_t pid = start([&] {
        ::signal(signal, SIG_DFL);
        ::raise(signal);
      });
      CHECK(ends_with(pid) == -signal);
    }
  }
}

TEST_CASE("GuardedSpawner: the tree of a dead owner has the strategy's signals and the budget") {
  std::string text;
  // A busy machine may need more time for a step.
  for (auto wait = 100ms; wait < 5s && text != "ready\ngot 2\ngot 15\n"; wait *= 2) {
    const test::TempDir directory;
    const auto seen = directory / "seen";
    const auto mark = "mark=" + directory.path();
    const test::Elapsed since;
    CHECK(test::in_child([&] {
            mk::Executor executor{
                mk::Shell{"exec " + test::helper() + " trap INT,TERM " + mark + " > " + seen},
                [&](const mk::Process&) { return test::slurp(seen) == "ready\n"; },
                mk::SignalLadder{{SIGINT, wait}, {SIGTERM, 2 * wait}}};
            executor.start();
            ::_exit(0);
            return true;
          }) == 0);
    const test::Elapsed elapsed;
    CHECK(test::eventually([&] { return test::processes_matching(mark) == 0; }, 20s));
    CHECK(since >= 3 * wait);
    CHECK(elapsed < 3 * wait + 2s);
    text = test::slurp(seen);
  }
  CHECK(text == "ready\ngot 2\ngot 15\n");
}

TEST_CASE("GuardedSpawner: the tree ends with an owner whose fork lives on") {
  const Traces traces;
  int alive[2];
  REQUIRE(::pipe(alive) == 0);
  const pid_t pid = owner([&] {
    mk::SimpleExecutor executor{{test::helper(), "ignore", "HUP", traces.pidfile(), traces.mark}};
    executor.start();
    executor.wait_for([&] { return !traces.pids().empty(); }, 20s);
    if (::fork() == 0) {  // it has all descriptors, and lives until the end of the test
      ::close(alive[1]);
      char byte;
      ::_exit(static_cast<int>(::read(alive[0], &byte, 1)));
    }
    ::raise(SIGKILL);
  });
  ::waitpid(pid, nullptr, 0);
  CHECK(test::eventually([&] { return traces.gone(); }));
  CHECK(traces.pids().size() == 1);
  ::close(alive[0]);
  ::close(alive[1]);
}

TEST_CASE("GuardedSpawner: the end of the thread that called start() changes nothing") {
  mk::SimpleExecutor executor{"sleep 300"};
  std::thread{[&] { executor.start(); }}.join();
  const timespec pause{0, 50'000'000};
  ::ppoll(nullptr, 0, &pause, nullptr);  // nothing may happen in this time
  CHECK(executor.running());
  CHECK(executor.stop().exit_code() == -SIGTERM);
}

TEST_CASE("GuardedSpawner: the owner reports a killed guardian and ends its tree") {
  const Traces traces;
  mk::Executor executor{mk::Shell{tree_that_escapes(traces)}, mk::BannerCheck{"up"},
                        mk::TimeoutBudget{.start = 20s, .stop = 300ms}};
  executor.start();
  REQUIRE(test::eventually([&] { return traces.pids().size() == tree_size; }));
  REQUIRE(::kill(parent_of(executor.pid()), SIGKILL) == 0);
  const test::Elapsed elapsed;
  CHECK(test::eventually([&] { return !executor.running(); }));
  CHECK(traces.gone());
  try {
    executor.stop();
    CHECK_MESSAGE(false, "stop() did not throw");
  } catch (const mk::ProcessFinishedWithError& error) {
    CHECK(error.exit_code() == -SIGKILL);
    CHECK(std::string{error.what()}.find("its guardian was ended by signal 9") !=
          std::string::npos);
  }
  CHECK(elapsed < 5s);
  executor.start();  // and it can start again
  CHECK(executor.stop().exit_code() == -SIGTERM);
}

TEST_CASE("GuardedSpawner: a start after the guardian's death waits for the end of its tree") {
  for (int i = 0; i < 5; ++i) {
    mk::Executor executor{mk::Shell{"setsid sleep 300 & setsid sleep 300 & echo ready; wait"},
                          mk::BannerCheck{"ready"}, mk::Silent{}};
    executor.start();
    const auto leader = executor.pid();
    const auto guardian = test::parent_of(leader);
    ::kill(guardian, SIGKILL);
    REQUIRE(test::eventually([&] { return !test::alive(guardian); }));
    executor.start();
    CHECK(executor.pid() != leader);
    CHECK(executor.running());
  }
}

TEST_CASE("GuardedSpawner: check_alive() sees that the guardian's end was the leader's") {
  const Traces traces;
  mk::SimpleExecutor executor{mk::Shell{"setsid " + test::helper() + " ignore TERM " +
                                        traces.pidfile() + ' ' + traces.mark +
                                        " & exec sleep 300"}};
  executor.start();
  REQUIRE(test::eventually([&] { return traces.pids().size() == 1; }));
  const pid_t leader = executor.pid();
  REQUIRE(::kill(parent_of(leader), SIGKILL) == 0);
  REQUIRE(test::eventually([&] { return !test::alive(leader); }));
  try {
    executor.check_alive();
    CHECK_MESSAGE(false, "check_alive() did not throw");
  } catch (const mk::ProcessExitedWithError& error) {
    CHECK(error.exit_code() == -SIGKILL);
    CHECK(std::string{error.what()}.find("its guardian was ended by signal 9") !=
          std::string::npos);
  }
  executor.kill();
  CHECK(traces.gone());
}

TEST_CASE("GuardedSpawner: a guardian killed during a start is reported") {
  const Traces traces;
  mk::Executor executor{{test::helper(), "ignore", "TERM", traces.pidfile(), traces.mark},
                        mk::TimeoutBudget{.start = 20s},
                        [&](const mk::Process& process) {
                          if (!traces.pids().empty()) ::kill(parent_of(process.pid()), SIGKILL);
                          return false;
                        }};
  try {
    executor.start();
    CHECK_MESSAGE(false, "start() did not throw");
  } catch (const mk::ProcessExitedWithError& error) {
    CHECK(std::string{error.what()}.find("its guardian was ended by signal 9") !=
          std::string::npos);
  }
  CHECK(traces.gone());
}

TEST_CASE("GuardedSpawner: a guardian killed at any moment of a start leaves nothing") {
  const Traces traces;
  for (int round = 0; round < 30; ++round) {
    std::atomic<bool> done = false;
    std::thread killer{[&] {
      while (!done)
        for (const pid_t pid : test::children_of(::getpid()))
          if (test::slurp("/proc/" + std::to_string(pid) + "/comm") == "mirakuru\n") {
            const timespec moment{0, round * 20'000};
            ::ppoll(nullptr, 0, &moment, nullptr);
            ::kill(pid, SIGKILL);
            return;
          }
    }};
    mk::SimpleExecutor executor{mk::Shell{"setsid " + test::helper() + " sleep 60000 " +
                                          traces.mark + " & exec " + test::helper() +
                                          " sleep 60000 " + traces.mark}};
    try {
      executor.start();
    } catch (const mk::SpawnError&) {
    }
    test::eventually([&] { return !executor.running(); });
    executor.kill();
    done = true;
    killer.join();
    REQUIRE(test::processes_matching(traces.mark) == 0);
  }
}

TEST_CASE("GuardedSpawner: a guardian stopped before or in a stop does not hold it up") {
  for (const bool before : {true, false}) {
    // The leader ends a while after the signal; the guardian is stopped before that.
    mk::Executor executor{mk::Shell{"trap 'echo got; sleep 0.3; exit 0' TERM; echo ready; "
                                    "while :; do sleep 0.01; done"},
                          mk::BannerCheck{"ready"}, mk::TimeoutBudget{.start = 20s, .stop = 20s}};
    executor.start();
    const pid_t guardian = parent_of(executor.pid());
    std::thread somebody{[&] {
      if (before) return;
      test::eventually([&] { return executor.output().find("got") != std::string::npos; });
      ::kill(guardian, SIGSTOP);
    }};
    if (before) REQUIRE(::kill(guardian, SIGSTOP) == 0);
    const test::Elapsed elapsed;
    executor.stop();
    CHECK(elapsed < 5s);
    CHECK(executor.exit_code() == 0);
    somebody.join();
  }
}

TEST_CASE("GuardedSpawner: the tree of a killed guardian ends, even if it hides its marks") {
  const Traces traces;
  const auto left = "exec setsid " + test::helper() + " ignore TERM " + traces.mark + ' ';
  std::string how;
  SUBCASE("the process has another hard limit") { how = "ulimit -x 77; "; }
  SUBCASE("the process has another soft limit") { how = "ulimit -S -x 0; "; }
  SUBCASE("the process has no environment") { how = "exec env -i "; }
  const auto line = how.starts_with("exec") ? how + left.substr(5) : how + left;
  mk::SimpleExecutor executor{{"bash", "-c", "(" + line + traces.pidfile() + ") & exec sleep 300"}};
  executor.start();
  REQUIRE(test::eventually([&] { return traces.pids().size() == 1; }));
  REQUIRE(::kill(parent_of(executor.pid()), SIGKILL) == 0);
  const test::Elapsed elapsed;
  executor.kill();
  CHECK(elapsed < 5s);
  CHECK(traces.gone());
  REQUIRE(executor.stragglers().size() == 1);
  CHECK(executor.stragglers()[0].pid == traces.pids()[0]);
}

TEST_CASE("GuardedSpawner: an owner without descriptors ends the tree of a killed guardian") {
  const Traces traces;
  CHECK(test::in_child([&] {
          mk::SimpleExecutor executor{mk::Shell{"setsid " + test::helper() + " ignore TERM " +
                                                traces.pidfile() + ' ' + traces.mark +
                                                " & exec sleep 300"}};
          executor.start().wait_for([&] { return traces.pids().size() == 1; }, 20s);
          const pid_t guardian = parent_of(executor.pid());
          const rlimit limit{64, 64};
          ::setrlimit(RLIMIT_NOFILE, &limit);
          while (::dup(0) >= 0) {
          }
          ::kill(guardian, SIGKILL);
          const test::Elapsed elapsed;
          executor.kill();
          return elapsed < 5s && !executor.running();
        }) == 0);
  CHECK(traces.gone());
}

TEST_CASE("GuardedSpawner: a guardian below the killed one ends with its tree") {
  const Traces traces;
  const auto self = test::slurp("/proc/self/cmdline");
  const auto nested =
      "MIRAKURU_TEST_NESTED='" + traces.mark + "' " + self.substr(0, self.find('\0'));
  mk::SimpleExecutor executor{mk::Shell{
      "exec env " + nested + " '--test-case=*an executor within an executor' --no-skip=true"}};
  executor.start();
  REQUIRE(test::eventually(
      [&] { return test::commands_matching("helper ignore TERM " + traces.mark) >= 1; }));
  REQUIRE(::kill(parent_of(executor.pid()), SIGKILL) == 0);
  CHECK(test::eventually([&] { return !executor.running(); }));
  CHECK(test::processes_matching(traces.mark) == 0);
}

TEST_CASE("GuardedSpawner: an executor within an executor" * doctest::skip()) {
  const char* mark = std::getenv("MIRAKURU_TEST_NESTED");
  if (mark == nullptr) return;
  mk::Executor executor{
      mk::Shell{"setsid " + test::helper() + " ignore TERM " + mark + " & exec sleep 300"},
      mk::TimeoutBudget{.stop = 60s}};
  executor.start().wait();
}

TEST_CASE("GuardedSpawner: an owner that lost its rights to signal still stops the command") {
  if (::geteuid() != 0) return;
  const Traces traces;
  CHECK(test::in_child([&] {
          mk::Executor executor{
              mk::Shell{"setsid " + test::helper() + " sleep 60000 " + traces.mark + " & exec " +
                        test::helper() + " sleep 60000 " + traces.mark},
              mk::TimeoutBudget{.start = 20s, .stop = 5s}};
          executor.start();
          if (::setresuid(65534, 65534, 65534) != 0) return false;
          const test::Elapsed elapsed;
          executor.stop();
          return elapsed < 4s && executor.exit_code() == -SIGTERM;
        }) == 0);
  CHECK(traces.gone());
}

TEST_CASE("GuardedSpawner: children of the owner may be in their own pid namespace") {
  CHECK(test::in_child([] {
          if (::unshare(CLONE_NEWPID) != 0) return true;  // not allowed here
          mk::Executor executor{mk::Shell{"setsid sleep 303 & exec sleep 303"},
                                mk::TimeoutBudget{.start = 20s, .stop = 5s}};
          executor.start();
          const pid_t leader = executor.pid();
          const bool known =
              test::slurp("/proc/" + std::to_string(leader) + "/cmdline").find("sleep") !=
                  std::string::npos ||
              test::eventually([&] { return test::alive(leader); });
          const test::Elapsed elapsed;
          executor.stop();
          return known && elapsed < 4s && executor.exit_code() == -SIGTERM && !test::alive(leader);
        }) == 0);
}

TEST_CASE("GuardedSpawner: a process outside the group has the stop signal the leader ignores") {
  const Traces traces;
  const auto seen = traces.directory / "seen";
  const auto leader = traces.directory / "leader";
  const auto line = "setsid " + test::helper() + " trap TERM " + traces.mark + " > " + seen +
                    " & exec " + test::helper() + " ignore TERM " + traces.mark + " > " + leader;
  const auto is_up = [&](const mk::Process&) {
    return test::slurp(seen) == "ready\n" && test::slurp(leader) == "ready\n";
  };
  const mk::TimeoutBudget budget{.start = 20s, .stop = 1s};
  SUBCASE("stop() is called") {
    mk::Executor executor{mk::Shell{line}, is_up, budget};
    executor.start().stop();
    CHECK(executor.exit_code() == -SIGKILL);
  }
  SUBCASE("the owner dies") {
    CHECK(test::in_child([&] {
            mk::Executor executor{mk::Shell{line}, is_up, budget};
            executor.start();
            ::_exit(0);
            return true;
          }) == 0);
    CHECK(test::eventually([&] { return traces.gone(); }));
  }
  CHECK(test::slurp(seen) == "ready\ngot 15\n");
}

TEST_CASE("GuardedSpawner: an owner may have just enough descriptors for a start") {
  if (test::sanitized) return;  // a sanitizer needs descriptors of its own
  CHECK(test::in_child([] {
          mk::SimpleExecutor executor{"sleep 300"};
          rlimit limit{};
          ::getrlimit(RLIMIT_NOFILE, &limit);
          for (limit.rlim_cur = 4; limit.rlim_cur < 128; ++limit.rlim_cur) {
            ::setrlimit(RLIMIT_NOFILE, &limit);
            try {
              executor.start().stop();
              return executor.exit_code() == -SIGTERM;
            } catch (const mk::SpawnError& error) {
              // The owner lacks the descriptor, not the guardian.
              if (error.code() != std::errc::too_many_files_open ||
                  std::string{error.what()}.find("signalfd") != std::string::npos)
                return false;
            }
          }
          return false;
        }) == 0);
}

TEST_CASE("GuardedSpawner: a pid namespace may have the outer /proc") {
  const auto mark = test::mark();
  const auto sleeper = test::line(test::helper("sleep", "60000", mark));
  CHECK(test::in_child([&] {
          if (::unshare(CLONE_NEWPID) != 0) return true;  // not allowed here
          return test::in_child([&] {
                   mk::Executor executor{mk::Shell{"setsid " + sleeper + " & exec " + sleeper},
                                         mk::TimeoutBudget{.stop = 100ms}};
                   return executor.start().running() && !executor.stop().running();
                 }) == 0;
        }) == 0);
  CHECK(test::commands_matching(mark) == 0);
}

TEST_CASE("GuardedSpawner: an owner may have a low limit on file locks") {
  const Traces traces;
  CHECK(test::in_child([&] {
          const rlimit limit{1, 1};
          ::setrlimit(RLIMIT_LOCKS, &limit);
          // Neither this process nor the other one belongs to the command.
          const pid_t other = ::fork();
          if (other == 0) {
            ::alarm(60);
            for (;;) ::pause();
          }
          mk::SimpleExecutor executor{mk::Shell{"setsid " + test::helper() + " ignore TERM " +
                                                traces.pidfile() + ' ' + traces.mark +
                                                " & exec sleep 300"}};
          executor.start().wait_for([&] { return traces.pids().size() == 1; }, 20s);
          ::kill(parent_of(executor.pid()), SIGKILL);
          const bool ended = test::eventually([&] { return !executor.running(); });
          const bool others = test::alive(other);
          ::kill(other, SIGKILL);
          return ended && others;
        }) == 0);
  CHECK(traces.gone());
}

TEST_CASE("GuardedSpawner: two gigabytes of the owner are let go soon and never paid twice") {
  constexpr std::size_t megabytes = 2048;
  const auto kilobytes = [](const std::string& file, const std::string& name) {
    const auto text = test::slurp(file);
    const auto at = text.find(name + ":");
    return at == std::string::npos ? 0 : std::atol(text.c_str() + at + name.size() + 1);
  };
  if (test::sanitized || kilobytes("/proc/meminfo", "MemAvailable") < 6L << 20) return;
  CHECK(test::in_child([&] {
          const Written large{megabytes};
          if (large.pages == MAP_FAILED) return false;
          mk::SimpleExecutor executor{"sleep 300"};
          executor.start();
          const pid_t guardian = parent_of(executor.pid());
          long most = 0;  // memory that both processes have a copy of
          for (std::size_t at = 0; at < large.size; at += large.size / 32) {
            std::memset(large.pages + at, 'z', large.size / 32);
            most = std::max(most, status_of(guardian, "RssAnon"));
          }
          // With a single thread the memory is never copied: there is nothing to give back.
          return most < 64L << 10 && test::eventually([&] { return lean(guardian); });
        }) == 0);
}

TEST_CASE("GuardedSpawner: each of many executors ends its own command") {
  std::vector<mk::SimpleExecutor> executors;
  for (int i = 0; i < 20; ++i) executors.emplace_back("sleep 300").start();
  executors[7].stop();
  for (std::size_t i = 0; i < executors.size(); ++i) CHECK(executors[i].running() == (i != 7));
}

TEST_CASE("GuardedSpawner: several threads may start and stop at once") {
  std::vector<std::thread> threads;
  std::array<bool, 4> good{};
  for (auto& each : good)
    threads.emplace_back([&each] {
      each = true;
      for (int i = 0; i < 20; ++i)
        each = each && mk::SimpleExecutor{"sleep 300"}.start().stop().exit_code() == -SIGTERM;
    });
  for (auto& thread : threads) thread.join();
  for (const bool each : good) CHECK(each);
}

TEST_CASE("GuardedSpawner: a clean-up that hangs holds up a stop for less than the owner waits") {
  struct Hanging : mk::GuardedSpawner {
    [[nodiscard]] mk::GuardedProcess spawn(mk::LaunchRequest request) const {
      request.clean_up = {{"sh", "-c", "trap '' TERM; sleep 300; exit"}};
      return GuardedSpawner::spawn(request);
    }
  };
  const test::Mark mark;
  mk::Executor executor{mk::Command{.argv = {"sh", "-c", "trap '' TERM; echo up; sleep 300; exit"},
                                    .env = {{"TEST_MARK", mark.text()}}},
                        Hanging{}, mk::BannerCheck{"up"}, mk::Silent{},
                        mk::TimeoutBudget{.start = 10s, .stop = 100ms}};
  executor.start();
  const test::Elapsed elapsed;
  executor.stop();
  CHECK(executor.exit_code() == -SIGKILL);
  CHECK(elapsed >= 8s);
  CHECK(mark.all_gone());
}

TEST_CASE("GuardedSpawner: a guardian ends after its clean-up, also if that takes two seconds") {
  struct Slow : mk::GuardedSpawner {
    std::string file;
    [[nodiscard]] mk::GuardedProcess spawn(mk::LaunchRequest request) const {
      request.clean_up = {{"sh", "-c", "sleep 2; echo clean >>\"$0\"", file}};
      return GuardedSpawner::spawn(request);
    }
  };
  const test::TempDir dir;
  const auto file = dir.path() + "/log";
  mk::Executor executor{{"sleep", "300"}, Slow{{}, file}, mk::Silent{}};
  executor.start();
  executor.stop();
  CHECK(executor.exit_code() == -SIGTERM);
  CHECK(test::slurp(file) == "clean\n");
  mk::Executor brief{{"sleep", "0.3"}, Slow{{}, file}, mk::Silent{}};
  brief.start().wait();
  CHECK(brief.exit_code() == 0);
  CHECK_FALSE(brief.running());
  CHECK(test::slurp(file) == "clean\nclean\n");
}
