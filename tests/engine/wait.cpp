// SPDX-License-Identifier: BSL-1.0
// Waits for a made-up process, at made-up moments.
#include <chrono>

#include <doctest/doctest.h>

#include <mirakuru/engine/wait.hpp>

#include "fake.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::WaitOperation;
using test::epoch;

TEST_CASE("WaitOperation: without a process it ends at once") {
  test::FakeTree tree;
  auto service = test::fake_service(tree);
  WaitOperation wait{service, epoch};
  mk::WaitSet waits;
  CHECK(wait.resume(epoch, waits));
}

TEST_CASE("WaitOperation: it waits for the process's event, and looks once a second") {
  test::FakeTree tree;
  auto service = test::fake_service(tree);
  service.spawn();
  WaitOperation wait{service, epoch};
  mk::WaitSet waits;
  waits.add(55);
  CHECK_FALSE(wait.resume(epoch + 1h, waits));
  REQUIRE(waits.size() == 1);
  CHECK(waits.descriptors()[0].fd == tree.event);
  CHECK(waits.deadline() == epoch + 1h + 1s);
}

TEST_CASE("WaitOperation: a process without an event is looked at after pauses that adapt") {
  test::FakeTree tree{.event = -1};
  auto service = test::fake_service(tree);
  service.spawn();
  WaitOperation wait{service, epoch};
  mk::WaitSet waits;
  CHECK_FALSE(wait.resume(epoch, waits));
  CHECK(waits.deadline() == epoch + 500us);
  CHECK_FALSE(wait.resume(epoch + 6400ms, waits));
  CHECK(waits.deadline() == epoch + 6500ms);
}

TEST_CASE("WaitOperation: the leader's end ends it, and the rest of the tree stays") {
  test::FakeTree tree;
  auto service = test::fake_service(tree);
  service.spawn();
  WaitOperation wait{service, epoch};
  mk::WaitSet waits;
  CHECK_FALSE(wait.resume(epoch, waits));
  tree.exit_code = 3;
  SUBCASE("the rest of the tree lives") {}
  SUBCASE("all of the tree is gone") { tree.alive = false; }
  CHECK(wait.resume(epoch + 1s, waits));
  CHECK(service.exit_code == 3);
  CHECK(service.process);
  CHECK(tree.signals.empty());
}
