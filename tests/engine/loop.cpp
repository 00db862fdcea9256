// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>
#include <chrono>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/engine/loop.hpp>
#include <mirakuru/os/unique_fd.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::Clock;
using mk::detail::make_pipe;
using mk::detail::PollLoop;

namespace {

/// Says at once that the first descriptor is ready, and notes the size of the set.
struct FakeLoop {
  std::string& log;

  void wait(mk::WaitSet& waits) const {
    log += "wait " + std::to_string(waits.size()) + ", ";
    if (waits.size() > 0) waits.descriptors()[0].revents = POLLIN;
  }
};

/// Waits for a descriptor, then for none, and then ends.
struct TwoWaits {
  std::string& log;
  int resumed = 0;

  bool resume(mk::TimePoint now, mk::WaitSet& waits) {
    CHECK(now <= Clock::now());
    log += waits.ready(0) ? "ready, " : "not ready, ";
    waits.clear();
    if (++resumed == 1) waits.add(7);
    return resumed == 3;
  }
};

struct Failing {
  bool resume(mk::TimePoint, mk::WaitSet&) const { throw std::runtime_error{"failed"}; }
};

}  // namespace

TEST_CASE("PollLoop: a descriptor ends the wait") {
  auto idle = make_pipe(), pipe = make_pipe();
  mk::WaitSet waits;
  waits.add(idle.reading.get());
  waits.add(-1);
  waits.add(pipe.reading.get());
  SUBCASE("by input") { REQUIRE(::write(pipe.writing.get(), "x", 1) == 1); }
  SUBCASE("by its end") { pipe.writing.reset(); }
  PollLoop{}.wait(waits);
  CHECK_FALSE(waits.ready(0));
  CHECK_FALSE(waits.ready(1));
  CHECK(waits.ready(2));
}

TEST_CASE("PollLoop: a descriptor that can be written to ends the wait") {
  const auto pipe = make_pipe();
  mk::WaitSet waits;
  waits.add(pipe.writing.get(), POLLOUT);
  PollLoop{}.wait(waits);
  CHECK(waits.ready(0));
}

TEST_CASE("PollLoop: the moment ends the wait, and not before") {
  const auto pipe = make_pipe();
  mk::WaitSet waits;
  waits.add(pipe.reading.get());
  const auto moment = Clock::now() + 20ms;
  waits.until(moment);
  PollLoop{}.wait(waits);
  CHECK(Clock::now() >= moment);
  CHECK_FALSE(waits.ready(0));
}

TEST_CASE("PollLoop: at a moment that is over it looks once") {
  const auto idle = make_pipe(), pipe = make_pipe();
  REQUIRE(::write(pipe.writing.get(), "x", 1) == 1);
  mk::WaitSet waits;
  waits.add(idle.reading.get());
  waits.add(pipe.reading.get());
  waits.until(Clock::now() - 1h);
  PollLoop{}.wait(waits);
  CHECK_FALSE(waits.ready(0));
  CHECK(waits.ready(1));
}

TEST_CASE("PollLoop: where no wait is wanted there is none") {
  mk::WaitSet waits;
  waits.again();
  PollLoop{}.wait(waits);
  CHECK(waits.wants_no_wait());
}

TEST_CASE("run: the operation is resumed after each wait until its end") {
  std::string log;
  mk::detail::run(TwoWaits{log}, FakeLoop{log});
  CHECK(log == "not ready, wait 1, ready, wait 0, not ready, ");
}

TEST_CASE("run: the operation's error passes through") {
  std::string log;
  CHECK_THROWS_WITH_AS(mk::detail::run(Failing{}, FakeLoop{log}), "failed", std::runtime_error);
  CHECK(log.empty());
}
