// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/budget/patience.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::Patience;

namespace {

constexpr mk::TimePoint epoch{100h};

}  // namespace

TEST_CASE("Patience: it is over after 5 s, then after twice as long each time") {
  Patience patience{epoch};
  std::string seconds;
  for (auto now = epoch; now < epoch + 100s; now += 1s)
    if (patience.over(now)) seconds += std::to_string((now - epoch) / 1s) + ' ';
  CHECK(seconds == "5 10 20 40 80 ");
  CHECK(patience.next() == epoch + 160s);
}

TEST_CASE("Patience: a late question gets one answer") {
  Patience patience{epoch};
  CHECK(patience.next() == epoch + 5s);
  CHECK_FALSE(patience.over(epoch + 5s - 1ns));
  CHECK(patience.over(epoch + 33s));
  CHECK_FALSE(patience.over(epoch + 33s));
  CHECK(patience.next() == epoch + 40s);
}

TEST_CASE("Patience: before its begin it is never over") {
  Patience patience;
  CHECK_FALSE(patience.over(epoch));
  CHECK(patience.next() == mk::TimePoint::max());
}
