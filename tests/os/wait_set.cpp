// SPDX-License-Identifier: BSL-1.0
#include <poll.h>
#include <chrono>

#include <doctest/doctest.h>

#include <mirakuru/os/wait_set.hpp>

using namespace std::chrono_literals;
using mirakuru::TimePoint;
using mirakuru::WaitSet;

namespace {

constexpr TimePoint epoch{100h};

}  // namespace

TEST_CASE("WaitSet: an empty set waits for nothing and for ever") {
  WaitSet waits;
  CHECK(waits.size() == 0);
  CHECK(waits.descriptors().empty());
  CHECK(waits.deadline() == TimePoint::max());
  CHECK_FALSE(waits.wants_no_wait());
  CHECK_FALSE(waits.ready(0));
  CHECK_FALSE(waits.ready(0, 100));
}

TEST_CASE("WaitSet: the earliest moment ends the wait") {
  WaitSet waits;
  waits.until(epoch + 2s);
  CHECK(waits.deadline() == epoch + 2s);
  waits.until(epoch + 1s);
  waits.until(epoch + 3s);
  CHECK(waits.deadline() == epoch + 1s);
  CHECK_FALSE(waits.wants_no_wait());
}

TEST_CASE("WaitSet: no later moment brings back a wait that is not wanted") {
  WaitSet waits;
  waits.until(epoch);
  waits.again();
  CHECK(waits.wants_no_wait());
  waits.until(epoch);
  CHECK(waits.wants_no_wait());
  waits.clear();
  CHECK_FALSE(waits.wants_no_wait());
}

TEST_CASE("WaitSet: each descriptor has its place and its events") {
  WaitSet waits;
  CHECK(waits.add(7) == 0);
  CHECK(waits.add(-1) == 1);
  CHECK(waits.add(8, POLLOUT) == 2);
  const auto all = waits.descriptors();
  REQUIRE(all.size() == 3);
  CHECK(all[0].fd == 7);
  CHECK(all[0].events == POLLIN);
  CHECK(all[1].fd == -1);
  CHECK(all[2].fd == 8);
  CHECK(all[2].events == POLLOUT);
  CHECK_FALSE(waits.ready(0, 3));
}

TEST_CASE("WaitSet: any event makes a descriptor ready, an error too") {
  WaitSet waits;
  for (int fd = 10; fd < 14; ++fd) waits.add(fd);
  waits.descriptors()[2].revents = POLLERR;
  CHECK(waits.ready(2));
  CHECK_FALSE(waits.ready(1));
  CHECK_FALSE(waits.ready(3));
  CHECK_FALSE(waits.ready(0, 2));
  CHECK(waits.ready(0, 3));
  CHECK(waits.ready(1, 100));
  CHECK_FALSE(waits.ready(2, 0));
  CHECK_FALSE(waits.ready(4));
}

TEST_CASE("WaitSet: another set is added as a whole") {
  WaitSet own;
  own.add(20);
  own.add(21, POLLOUT);
  own.until(epoch + 1s);

  WaitSet waits;
  waits.add(10);
  waits.until(epoch + 2s);
  CHECK(waits.add(own) == 1);
  REQUIRE(waits.size() == 3);
  CHECK(waits.descriptors()[1].fd == 20);
  CHECK(waits.descriptors()[2].fd == 21);
  CHECK(waits.descriptors()[2].events == POLLOUT);
  CHECK(waits.deadline() == epoch + 1s);

  CHECK(waits.add(WaitSet{}) == 3);
  CHECK(waits.size() == 3);
  CHECK(waits.deadline() == epoch + 1s);
}

TEST_CASE("WaitSet: clear() leaves neither a descriptor nor a moment") {
  WaitSet waits;
  waits.add(10);
  waits.descriptors()[0].revents = POLLIN;
  waits.until(epoch);
  waits.clear();
  CHECK(waits.size() == 0);
  CHECK_FALSE(waits.ready(0));
  CHECK(waits.deadline() == TimePoint::max());
}
