// SPDX-License-Identifier: BSL-1.0
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/spawn/guardian/rest.hpp>
#include <mirakuru/spawn/guardian/tree.hpp>

#include "process.hpp"
#include "time.hpp"

using mirakuru::detail::RlimitTag;
using mirakuru::detail::TreeRest;
using State = TreeRest::State;

namespace {

/// A process that sleeps, with a mark in its limits or in its environment.
class Sleeper {
 public:
  explicit Sleeper(RlimitTag mark, const std::string& id = {}) : pid_{::fork()} {
    if (pid_ != 0) return;
    const rlimit limit{mark.soft, mark.hard};
    if (mark.soft != 0 && ::setrlimit(RLIMIT_LOCKS, &limit) != 0) ::_exit(1);
    if (!id.empty()) ::setenv("mirakuru_uuid", id.c_str(), 1);
    ::execlp("sleep", "sleep", "60", nullptr);
    ::_exit(1);
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  ~Sleeper() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  bool executed() const {
    return test::eventually(
        [this] { return test::slurp("/proc/" + std::to_string(pid_) + "/comm") == "sleep\n"; });
  }

 private:
  pid_t pid_;
};

}  // namespace

TEST_CASE("TreeRest: it kills the processes with its mark, and no others") {
  const auto mark = RlimitTag::make(), other_mark = RlimitTag::make();
  REQUIRE(mark.soft != 0);
  const Sleeper one{mark}, two{mark}, other{other_mark}, none{{}};
  for (const auto* sleeper : {&one, &two, &other, &none}) REQUIRE(sleeper->executed());
  TreeRest rest{mark.soft, ""};
  std::vector<std::pair<pid_t, bool>> found;
  CHECK(rest.kill(one.pid(), [&](pid_t pid, bool refused) { found.emplace_back(pid, refused); }) ==
        State::lives);
  CHECK(found.size() == 2);
  for (const auto& [pid, refused] : found) {
    CHECK_FALSE(refused);
    CHECK((pid == one.pid() || pid == two.pid()));
  }
  CHECK(test::eventually([&] { return rest.kill(one.pid(), [](auto...) {}) == State::gone; }));
  CHECK_FALSE(test::alive(one.pid()));
  CHECK_FALSE(test::alive(two.pid()));
  CHECK(test::alive(other.pid()));
  CHECK(test::alive(none.pid()));
}

TEST_CASE("TreeRest: a process without the mark is found by its environment") {
  const std::string id = std::to_string(::getpid()) + ":of-this-test";
  const Sleeper one{{}, id}, other{{}, id + "-not"};
  REQUIRE(one.executed());
  REQUIRE(other.executed());
  TreeRest rest{0, id};
  CHECK(test::eventually([&] { return rest.kill(one.pid(), [](auto...) {}) == State::gone; }));
  CHECK_FALSE(test::alive(one.pid()));
  CHECK(test::alive(other.pid()));
}

TEST_CASE("still_after_a_second: it asks until nothing lives, and not for ever") {
  int calls = 0;
  CHECK_FALSE(mirakuru::detail::still_after_a_second([&] { return ++calls < 5; }));
  CHECK(calls == 5);
  calls = 0;
  CHECK(mirakuru::detail::still_after_a_second([&] { return ++calls > 0; }));
  CHECK(calls == 1001);
}

TEST_CASE("TreeRest: without marks it finds nothing") {
  const Sleeper one{{}};
  REQUIRE(one.executed());
  TreeRest rest;
  CHECK(rest.kill(one.pid(), [](auto...) {}) == State::gone);
  CHECK(test::alive(one.pid()));
}
