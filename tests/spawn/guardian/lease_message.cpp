// SPDX-License-Identifier: BSL-1.0
#include <cstddef>
#include <type_traits>

#include <doctest/doctest.h>

#include <mirakuru/spawn/guardian/lease_message.hpp>

using mirakuru::detail::LeaseHead;

TEST_CASE("LeaseHead: its layout belongs to its version, for programs of other compilers") {
  // Another layout needs another number, and then other figures here.
  static_assert(LeaseHead::current == 0x6d6b0002);
  static_assert(std::is_trivially_copyable_v<LeaseHead> && std::is_standard_layout_v<LeaseHead>);
  static_assert(sizeof(LeaseHead) == 40 && alignof(LeaseHead) == 8);
  CHECK(offsetof(LeaseHead, version) == 0);
  CHECK(offsetof(LeaseHead, kind) == 4);
  CHECK(offsetof(LeaseHead, leader) == 8);
  CHECK(offsetof(LeaseHead, guardian) == 12);
  CHECK(offsetof(LeaseHead, exit_code) == 16);
  CHECK(offsetof(LeaseHead, last) == 20);
  CHECK(offsetof(LeaseHead, greeting_size) == 24);
  CHECK(offsetof(LeaseHead, mark) == 32);
}

TEST_CASE("LeaseHead: the kinds have the numbers of its version") {
  CHECK(LeaseHead::ready == 0);
  CHECK(LeaseHead::hello == 1);
  CHECK(LeaseHead::failed == 2);
  CHECK(LeaseHead::ended == 3);
}

TEST_CASE("LeaseHead: a new one is of this version, and names nobody") {
  const LeaseHead head;
  CHECK(head.version == LeaseHead::current);
  CHECK(head.kind == LeaseHead::ready);
  CHECK(head.leader == 0);
  CHECK(head.guardian == 0);
  CHECK(head.mark == 0);
  CHECK(head.greeting_size == 0);
}
