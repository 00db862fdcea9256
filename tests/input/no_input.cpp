// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>
#include <chrono>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;

TEST_CASE("NoInput: the command reads the end at once") {
  mk::Executor cat{"cat", in_time, mk::NoInput{}};
  CHECK(cat.start().wait(30s).output().empty());
  CHECK(cat.exit_code() == 0);
}

namespace {

struct FromPipe {
  static constexpr bool writable = false;
  mk::InputStream open() const {
    int ends[2];
    CHECK(::pipe(ends) == 0);
    CHECK(::write(ends[1], "mine", 4) == 4);
    ::close(ends[1]);
    return mk::InputStream::from(ends[0]);
  }
};

}  // namespace

TEST_CASE("Input: a policy of one's own") {
  mk::Executor cat{"cat", in_time, FromPipe{}};
  CHECK(cat.start().wait(30s).output() == "mine");
}
