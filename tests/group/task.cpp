// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>
#include <array>
#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>

#include <doctest/doctest.h>

#include <mirakuru/engine/loop.hpp>
#include <mirakuru/group/task.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::TaskOf;
using mk::detail::TaskRun;

namespace {

constexpr mk::TimePoint epoch{100h};

/// Waits for a descriptor or a moment; counts its rounds.
struct Operation {
  Operation(int fd, mk::TimePoint until, int& rounds) : fd_{fd}, until_{until}, rounds_{rounds} {}

  bool resume(mk::TimePoint now, mk::WaitSet& waits) {
    ++rounds_;
    if (error_) std::rethrow_exception(error_);
    if (waits.ready(0) || now >= until_) return true;
    waits.clear();
    waits.add(fd_);
    waits.until(until_);
    return false;
  }
  void fail(std::exception_ptr error) { error_ = error; }

  int fd_;
  mk::TimePoint until_;
  int& rounds_;
  std::exception_ptr error_;
};

struct Stop {
  bool hurried = false;
  bool resume(mk::TimePoint, mk::WaitSet&) { return hurried; }
  void hurry(mk::TimePoint) { hurried = true; }
};

}  // namespace

TEST_CASE("TaskRun: a task goes on when its own descriptor is ready") {
  std::array<std::array<int, 2>, 2> pipes{};
  for (auto& ends : pipes) REQUIRE(::pipe(ends.data()) == 0);
  std::array<int, 2> rounds{};
  std::array<TaskRun, 2> runs;
  for (std::size_t i = 0; i < 2; ++i)
    runs[i].begin(std::make_unique<TaskOf<Operation>>(pipes[i][0], epoch + 1h, rounds[i]));

  mk::WaitSet waits;
  for (auto& run : runs) {
    CHECK(run.due(epoch, waits));
    CHECK_FALSE(run.resume(epoch, waits));
  }
  for (auto& run : runs) run.wait(waits);
  CHECK(waits.size() == 2);
  CHECK(waits.deadline() == epoch + 1h);
  REQUIRE(::write(pipes[1][1], "x", 1) == 1);
  mk::detail::PollLoop{}.wait(waits);
  CHECK_FALSE(runs[0].due(epoch, waits));
  REQUIRE(runs[1].due(epoch, waits));
  CHECK(runs[1].resume(epoch, waits));
  CHECK(rounds[0] == 1);
  CHECK(rounds[1] == 2);
  for (auto& ends : pipes)
    for (const int fd : ends) ::close(fd);
}

TEST_CASE("TaskRun: a task goes on at its own moment") {
  int rounds = 0;
  TaskRun run;
  CHECK(run.is_over());
  run.begin(std::make_unique<TaskOf<Operation>>(-1, epoch + 1s, rounds));
  mk::WaitSet waits;
  CHECK_FALSE(run.resume(epoch, waits));
  run.wait(waits);
  CHECK_FALSE(run.due(epoch + 999ms, waits));
  CHECK(run.due(epoch + 1s, waits));
  CHECK(run.resume(epoch + 1s, waits));
  run.end();
  CHECK(run.is_over());
  CHECK_FALSE(run.due(epoch + 1h, waits));
}

TEST_CASE("TaskRun: a cancelled task is due at once, and fails; a stop hurries") {
  int rounds = 0;
  TaskRun run;
  run.begin(std::make_unique<TaskOf<Operation>>(-1, epoch + 1h, rounds));
  mk::WaitSet waits;
  CHECK_FALSE(run.resume(epoch, waits));
  run.wait(waits);
  run.cancel(std::make_exception_ptr(std::runtime_error{"cancelled"}));
  REQUIRE(run.due(epoch, waits));
  CHECK_THROWS_WITH((void)run.resume(epoch, waits), "cancelled");

  run.begin(std::make_unique<TaskOf<Stop>>());
  CHECK_FALSE(run.resume(epoch, waits));
  run.cancel(nullptr);
  CHECK(run.resume(epoch, waits));
}
