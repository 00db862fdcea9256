// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/os/nameless_file.hpp>

using mirakuru::detail::nameless_file;

TEST_CASE("nameless_file: it is private, has no name, and the flags that are asked for") {
  const auto file = nameless_file("a file", O_APPEND);
  struct stat status{};
  REQUIRE(::fstat(file.get(), &status) == 0);
  CHECK(status.st_nlink == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK((::fcntl(file.get(), F_GETFL) & O_APPEND) != 0);
  CHECK((::fcntl(file.get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(file.get() > 2);
  CHECK((::fcntl(nameless_file("a file", 0).get(), F_GETFL) & O_APPEND) == 0);
}
