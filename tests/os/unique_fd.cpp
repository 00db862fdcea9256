// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cerrno>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

#include <mirakuru/os/unique_fd.hpp>

#include "child.hpp"
#include "process.hpp"

using mirakuru::detail::checked_fd;
using mirakuru::detail::make_pipe;
using mirakuru::detail::move_above_stdio;
using mirakuru::detail::UniqueFd;

namespace {

bool open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }
bool close_on_exec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }
int new_fd() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

/// The call that a std::system_error names; "nothing" if there is none.
template <class Call>
std::string failure(Call call) {
  try {
    call();
  } catch (const std::system_error& error) {
    const std::string message = error.what();
    return message.substr(0, message.find(':'));
  }
  return "nothing";
}

}  // namespace

static_assert(!std::is_copy_constructible_v<UniqueFd>);
static_assert(std::is_nothrow_move_constructible_v<UniqueFd>);
static_assert(!std::is_convertible_v<int, UniqueFd>);

TEST_CASE("UniqueFd: it closes its descriptor at the end") {
  const int fd = new_fd();
  {
    const UniqueFd owner{fd};
    CHECK(owner);
    CHECK(owner.get() == fd);
    CHECK(open(fd));
  }
  CHECK_FALSE(open(fd));
  CHECK_FALSE(UniqueFd{});
  CHECK(UniqueFd{}.get() == -1);
}

TEST_CASE("UniqueFd: reset() closes, and release() does not") {
  const int fd = new_fd();
  UniqueFd owner{fd};
  CHECK(owner.release() == fd);
  CHECK_FALSE(owner);
  CHECK(open(fd));
  owner = UniqueFd{fd};
  owner.reset();
  CHECK_FALSE(owner);
  CHECK_FALSE(open(fd));
  owner.reset();
  CHECK_FALSE(owner);
}

TEST_CASE("UniqueFd: a move leaves the source empty and closes the target's descriptor") {
  const int one = new_fd(), two = new_fd();
  UniqueFd first{one};
  UniqueFd second{std::move(first)};
  CHECK(first.get() == -1);
  CHECK(second.get() == one);
  second = UniqueFd{two};
  CHECK(second.get() == two);
  CHECK_FALSE(open(one));
  CHECK(open(two));
}

TEST_CASE("move_above_stdio: a descriptor below 3 moves up, another one stays") {
  const int high = new_fd();
  CHECK(move_above_stdio(UniqueFd{high}).get() == high);
  CHECK(test::in_child([] {
          for (int fd = 0; fd < 3; ++fd) ::close(fd);
          for (int fd = 0; fd < 3; ++fd) {
            if (new_fd() != fd) return false;
            const auto moved = move_above_stdio(UniqueFd{fd});
            if (moved.get() < 3 || !close_on_exec(moved.get()) || open(fd)) return false;
            if (::dup2(moved.get(), fd) != fd) return false;
          }
          return true;
        }) == 0);
}

TEST_CASE("move_above_stdio: an error if there is no descriptor left") {
  if (test::sanitized) return;  // a sanitizer needs descriptors of its own
  CHECK(test::in_child([] {
          ::close(0);
          const rlimit three{.rlim_cur = 3, .rlim_max = 3};
          if (new_fd() != 0 || ::setrlimit(RLIMIT_NOFILE, &three) != 0) return false;
          return failure([] { static_cast<void>(move_above_stdio(UniqueFd{0})); }) ==
                     "fcntl F_DUPFD_CLOEXEC" &&
                 !open(0);
        }) == 0);
}

TEST_CASE("checked_fd: it owns a descriptor, or throws with the name of the call") {
  const int fd = new_fd();
  CHECK(checked_fd(fd, "open").get() == fd);
  CHECK_FALSE(open(fd));
  errno = EMFILE;
  try {
    static_cast<void>(checked_fd(-1, "eventfd"));
    FAIL("no error");
  } catch (const std::system_error& error) {
    CHECK(error.code().value() == EMFILE);
    CHECK(std::string{error.what()}.starts_with("eventfd: "));
  }
}

TEST_CASE("make_pipe: both ends are close-on-exec, and bytes go through") {
  const auto pipe = make_pipe();
  CHECK(close_on_exec(pipe.reading.get()));
  CHECK(close_on_exec(pipe.writing.get()));
  char byte = 0;
  CHECK(::write(pipe.writing.get(), "x", 1) == 1);
  CHECK(::read(pipe.reading.get(), &byte, 1) == 1);
  CHECK(byte == 'x');
}

TEST_CASE("make_pipe: an error names the call") {
  CHECK(test::in_child([] {
          const rlimit none{.rlim_cur = 0, .rlim_max = 0};
          return ::setrlimit(RLIMIT_NOFILE, &none) == 0 &&
                 failure([] { static_cast<void>(make_pipe()); }) == "pipe2";
        }) == 0);
}
