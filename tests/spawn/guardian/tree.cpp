// SPDX-License-Identifier: BSL-1.0
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/spawn/guardian/tree.hpp>

#include "child.hpp"

using mirakuru::detail::RlimitTag;
using mirakuru::detail::Tree;

namespace {

constexpr std::uint64_t least = std::uint64_t{1} << 61, most = std::uint64_t{1} << 62;

/// Makes a mark in a child with this limit on locks.
template <class Check>
bool makes(std::uint64_t limit, Check check) {
  return test::in_child([&] {
           const rlimit locks{limit, limit};
           return ::setrlimit(RLIMIT_LOCKS, &locks) == 0 && check(RlimitTag::make());
         }) == 0;
}

/// Processes that wait for a signal: some children of this one, and a grandchild.
struct Family {
  explicit Family(int children) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    for (int i = 0; i < children; ++i) add(ends[1], i == 0);
    while (all.size() < static_cast<std::size_t>(children) + 1) {
      pid_t pid = 0;
      REQUIRE(::read(ends[0], &pid, sizeof pid) == sizeof pid);
      all.insert(pid);
    }
    ::close(ends[0]);
    ::close(ends[1]);
  }
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;
  ~Family() {
    for (const pid_t pid : all) ::kill(pid, SIGKILL);
    for (const pid_t pid : own) ::waitpid(pid, nullptr, 0);
  }

  std::set<pid_t> all;
  std::vector<pid_t> own;

 private:
  [[noreturn]] static void wait_in(int pipe) {
    const pid_t self = ::getpid();
    if (::write(pipe, &self, sizeof self) != sizeof self) ::_exit(1);
    for (;;) ::pause();
  }
  void add(int pipe, bool has_child) {
    const pid_t pid = ::fork();
    if (pid != 0) return own.push_back(pid);
    if (has_child && ::fork() == 0) wait_in(pipe);
    wait_in(pipe);
  }
};

/// The processes that get a signal, which is none that does anything.
std::vector<pid_t> signalled(Tree& tree, pid_t group, bool everyone) {
  std::vector<pid_t> pids;
  tree.send(SIGCONT, group, everyone, [&pids](pid_t pid) { pids.push_back(pid); });
  return pids;
}

}  // namespace

TEST_CASE("RlimitTag: a mark is so large that nobody else has it") {
  CHECK(makes(RLIM_INFINITY, [](const RlimitTag& tag) {
    return tag.soft >= least && tag.soft < most && tag.hard == tag.soft;
  }));
}

TEST_CASE("RlimitTag: below another guardian its hard limit stays") {
  constexpr auto other = least + 1000;
  CHECK(makes(other, [](const RlimitTag& tag) {
    return tag.soft >= least && tag.soft < other && tag.hard == other;
  }));
}

TEST_CASE("RlimitTag: there is none where a limit leaves no number") {
  CHECK(makes(least, [](const RlimitTag& tag) { return tag.soft == 0 && tag.hard == 0; }));
}

TEST_CASE("RlimitTag: a process has the mark in its soft limit or its hard one") {
  const RlimitTag tag{.soft = 5, .hard = 9};
  CHECK(tag.is_on({.soft = 5, .hard = 9}));
  CHECK(tag.is_on({.soft = 1, .hard = 5}));
  CHECK_FALSE(tag.is_on({.soft = 9, .hard = 9}));
  CHECK_FALSE(RlimitTag{}.is_on({}));
}

TEST_CASE("Tree: it finds children and grandchildren, and nobody else") {
  const Family family{2};
  const auto tree = std::make_unique<Tree>(RlimitTag{});
  tree->find(::getpid());
  CHECK(tree->search_is_complete());
  const auto pids = signalled(*tree, 0, true);
  CHECK(std::set<pid_t>{pids.begin(), pids.end()} == family.all);
  CHECK(pids.size() == family.all.size());
}

TEST_CASE("Tree: each process gets the signal of a step once, also one that is born later") {
  Family family{1};
  const auto tree = std::make_unique<Tree>(RlimitTag{});
  const auto find = [&] {
    tree->find(::getpid());
    return signalled(*tree, 0, true).size();
  };
  CHECK(find() == 2);
  CHECK(find() == 0);
  {
    const Family later{1};
    CHECK(find() == 2);
    CHECK(find() == 0);
    tree->begin_step();
    CHECK(find() == 4);
  }
  tree->begin_step();
  CHECK(find() == 2);
}

TEST_CASE("Tree: a member of the signalled group has the signal") {
  const Family family{1};
  const auto tree = std::make_unique<Tree>(RlimitTag{});
  tree->find(::getpid());
  CHECK(signalled(*tree, ::getpgrp(), true).empty());
  CHECK(signalled(*tree, 0, false).empty());
  CHECK(signalled(*tree, 0, true).size() == 2);
}

TEST_CASE("Tree: a stopped tree changes no more, and goes on") {
  const Family family{1};
  const auto tree = std::make_unique<Tree>(RlimitTag{});
  tree->find(::getpid());
  CHECK(tree->suspend(true));
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(family.own[0]), &info, WSTOPPED) == 0);
  CHECK(info.si_code == CLD_STOPPED);
  while (tree->suspend(true)) ::sched_yield();  // the grandchild
  CHECK(tree->suspend(false));
  REQUIRE(::waitid(P_PID, static_cast<id_t>(family.own[0]), &info, WCONTINUED) == 0);
  CHECK(info.si_code == CLD_CONTINUED);
}
