// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/os/syscalls.hpp>

#include "child.hpp"
#include "files.hpp"

namespace syscalls = mirakuru::detail::syscalls;

TEST_CASE("Path: texts and numbers") {
  CHECK(std::string{syscalls::Path{} << "/proc/" << 0 << '\0'} == "/proc/00");
  CHECK(std::string{(syscalls::Path{} << "/proc/" << 1234567 << "/stat").text()} ==
        "/proc/1234567/stat");
  const std::string long_text(100, 'x');
  CHECK(std::string{syscalls::Path{} << long_text.c_str()} == std::string(63, 'x'));
}

TEST_CASE("File: its characters, and zeros at the end") {
  const test::TempDir directory;
  const auto path = directory / "file";
  std::string text(5000, 'a');
  text.back() = 'z';
  {
    syscalls::File none{path.c_str()};
    CHECK(none.get() == '\0');
  }
  std::FILE* const written = std::fopen(path.c_str(), "w");
  std::fputs(text.c_str(), written);
  std::fclose(written);
  syscalls::File file{path.c_str()};
  std::string read;
  for (char c; (c = file.get()) != '\0';) read += c;
  CHECK(read == text);
  char begin[10];
  CHECK(syscalls::read_file(path.c_str(), begin) == 9);
  CHECK(std::string{begin} == "aaaaaaaaa");
}

TEST_CASE("each_number: the names that begin with a digit") {
  std::vector<int> pids;
  CHECK(syscalls::each_number("/proc", [&](int pid) { pids.push_back(pid); }));
  CHECK(std::find(pids.begin(), pids.end(), ::getpid()) != pids.end());
  CHECK_FALSE(syscalls::each_number("/no/such/directory", [](int) {}));
}

TEST_CASE("close_range: closes at once or at an exec, also on an old kernel") {
  for (const bool old_kernel : {false, true})
    CHECK(test::in_child([old_kernel] {
            if (old_kernel && !test::take_away(SYS_close_range)) return false;
            for (int fd = 100; fd < 104; ++fd)
              if (::dup2(2, fd) != fd) return false;
            syscalls::close_range(101, 102);
            syscalls::close_range(103, 103, true);
            return ::fcntl(100, F_GETFD) == 0 && ::fcntl(101, F_GETFD) < 0 &&
                   ::fcntl(102, F_GETFD) < 0 && ::fcntl(103, F_GETFD) == FD_CLOEXEC;
          }) == 0);
}
