// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <unistd.h>
#include <system_error>

#include <doctest/doctest.h>

#include <mirakuru/input/input_stream.hpp>

namespace mk = mirakuru;

TEST_CASE("InputStream: descriptors are taken over, close-on-exec and above 2") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  {
    const auto stream = mk::InputStream::from(ends[0], ends[1]);
    CHECK(stream.reading.get() > 2);
    CHECK((::fcntl(stream.reading.get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((::fcntl(stream.writing.get(), F_GETFD) & FD_CLOEXEC) != 0);
  }
  CHECK(::fcntl(ends[0], F_GETFD) < 0);
  CHECK(::fcntl(ends[1], F_GETFD) < 0);
  CHECK_FALSE(mk::InputStream::from(::dup(0)).writing);
  CHECK_THROWS_AS((void)mk::InputStream::from(999), std::system_error);
}
