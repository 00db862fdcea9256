// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/os/remove_contents.hpp>
#include <mirakuru/os/unique_fd.hpp>

#include "files.hpp"

namespace fs = std::filesystem;
using mirakuru::detail::UniqueFd;
namespace syscalls = mirakuru::detail::syscalls;

namespace {

UniqueFd open(const fs::path& path) {
  return UniqueFd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
}

}  // namespace

TEST_CASE("remove_contents: files, directories and links go, however deep") {
  const test::TempDir directory, outside;
  const fs::path top{directory.path()};
  std::ofstream{outside / "file"} << "text";
  fs::create_directory_symlink(outside.path(), top / "link");
  fs::create_directories(top / "a/b/c");
  fs::create_directory_symlink(outside.path(), top / "a/b/link");
  std::ofstream{top / "a/b/file"} << "x";
  fs::permissions(top / "a/b/c", fs::perms::none);
  fs::permissions(top / "a", fs::perms::owner_read | fs::perms::owner_exec);
  for (int i = 0; i < 300; ++i) std::ofstream{top / ("many" + std::to_string(i))};
  // Deeper than a path can be.
  int at = ::open(top.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::string name(200, 'd');
  for (int depth = 0; depth < 200; ++depth) {
    REQUIRE(::mkdirat(at, name.c_str(), 0700) == 0);
    const int next = ::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ::close(at);
    at = next;
  }
  ::close(at);
  syscalls::remove_contents(open(top).get());
  CHECK(fs::is_empty(top));
  CHECK(test::slurp(outside / "file") == "text");
}
