// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>

#include <doctest/doctest.h>

#include <mirakuru/error.hpp>
#include <mirakuru/kit/temp_dir.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/spawn/child.hpp>
#include <mirakuru/spawn/direct.hpp>
#include <mirakuru/spawn/guarded.hpp>

#include "process.hpp"

namespace mk = mirakuru;
using mk::detail::UniqueFd;

namespace {

struct Pipe {
  UniqueFd reading, writing;

  /// `least`: the lowest number for the writing end.
  explicit Pipe(int least = 3) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    reading = UniqueFd{ends[0]};
    const UniqueFd low{ends[1]};
    writing = UniqueFd{::fcntl(low.get(), F_DUPFD_CLOEXEC, least)};
  }
  /// All that has been written, up to the end.
  std::string text() {
    std::string all;
    std::array<char, 256> part{};
    for (ssize_t size; (size = ::read(reading.get(), part.data(), part.size())) > 0;)
      all.append(part.data(), static_cast<std::size_t>(size));
    return all;
  }
};

std::shared_ptr<const UniqueFd> give(UniqueFd& fd) {
  return std::make_shared<const UniqueFd>(std::move(fd));
}

/// Waits for the end of all processes.
template <class Process>
void await_end(Process& process) {
  while (process.alive()) {
    pollfd news{.fd = process.event(), .events = POLLIN, .revents = 0};
    ::poll(&news, 1, 1000);
  }
}

mk::LaunchRequest shell(const std::string& line) {
  mk::LaunchRequest request{.words = {"/bin/sh", "-c", line}};
  request.steps = {{SIGTERM, std::chrono::seconds{5}}};
  request.stop_budget = std::chrono::seconds{5};
  return request;
}

}  // namespace

TEST_CASE_TEMPLATE("Child: a command gets the descriptors of its request, and no other", Spawner,
                   mk::DirectSpawner, mk::GuardedSpawner) {
  test::each_number_in("/proc/self/fd", [](int fd, int) {  // some that a test runner leaves open
    if (fd > 2) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  });
  Pipe first, second, other;
  auto request = shell("echo three >&3; exec >&7; echo seven; ls /proc/$$/fd; :");
  request.descriptors = {{3, give(first.writing)}, {7, give(second.writing)}};
  auto process = Spawner{}.spawn(request);
  request = {};  // closes the writing ends here
  CHECK(first.text() == "three\n");
  CHECK(second.text() == "seven\n0\n1\n2\n3\n7\n");
  await_end(process);
  CHECK(process.exit_code() == 0);
}

TEST_CASE_TEMPLATE("Child: descriptors may change places", Spawner, mk::DirectSpawner,
                   mk::GuardedSpawner) {
  Pipe first, second;
  const int one = first.writing.get(), two = second.writing.get();
  auto request = shell("echo one >&" + std::to_string(two) + "; echo two >&" + std::to_string(one));
  request.descriptors = {{two, give(first.writing)}, {one, give(second.writing)}};
  auto process = Spawner{}.spawn(request);
  request = {};
  CHECK(first.text() == "one\n");
  CHECK(second.text() == "two\n");
  await_end(process);
}

TEST_CASE_TEMPLATE("Child: no number of a descriptor hides the reason of a failure", Spawner,
                   mk::DirectSpawner, mk::GuardedSpawner) {
  Pipe pipe{200};
  const mk::TempDir dir;
  const auto odd = (dir / "odd").string();
  std::ofstream{odd} << "?";
  std::filesystem::permissions(odd, std::filesystem::perms::owner_all);
  auto request = shell("");
  request.words = {odd};  // passes all but execve
  const auto end = give(pipe.writing);
  for (int number = 3; number < 3 + static_cast<int>(mk::LaunchRequest::most_descriptors); ++number)
    request.descriptors.emplace(number, end);
  const auto reason = "cannot run " + odd + ": exec format error";
  CHECK_THROWS_WITH((void)Spawner{}.spawn(request), reason.c_str());
}

TEST_CASE_TEMPLATE("Child: a standard stream and too many descriptors are refused", Spawner,
                   mk::DirectSpawner, mk::GuardedSpawner) {
  Pipe pipe;
  auto request = shell("");
  const auto end = give(pipe.writing);
  request.descriptors = {{2, end}};
  CHECK_THROWS_AS((void)Spawner{}.spawn(request), mk::SpawnFailure);
  request.descriptors.clear();
  for (int number = 3; number <= 3 + static_cast<int>(mk::LaunchRequest::most_descriptors);
       ++number)
    request.descriptors.emplace(number, end);
  CHECK_THROWS_AS((void)Spawner{}.spawn(request), mk::SpawnFailure);
}
