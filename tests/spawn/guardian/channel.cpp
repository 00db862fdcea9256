// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <csignal>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/spawn/guardian/channel.hpp>

#include "files.hpp"

using mirakuru::detail::Channel;
using mirakuru::detail::Report;
using mirakuru::detail::UniqueFd;

namespace {

/// A channel, and its owner's end.
struct Ends {
  Ends() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    owner = UniqueFd{fds[0]};
    guardian = UniqueFd{fds[1]};
  }
  [[nodiscard]] std::optional<Report> take() const {
    Report report;
    if (::recv(owner.get(), &report, sizeof report, 0) != sizeof report) return {};
    return report;
  }

  UniqueFd owner, guardian;
};

}  // namespace

TEST_CASE("Channel: a report has its facts, and its text is cut") {
  const Ends ends;
  Channel channel{ends.guardian.get()};
  CHECK(channel.report(Report::ended, 42, -9, "", true));
  const auto end = ends.take();
  REQUIRE(end);
  CHECK(end->kind == Report::ended);
  CHECK(end->pid == 42);
  CHECK(end->value == -9);
  CHECK(end->last);
  CHECK(std::string{end->text}.empty());
  CHECK(channel.report(Report::failed, 0, ENOENT, std::string(500, 'x').c_str()));
  const auto failure = ends.take();
  REQUIRE(failure);
  CHECK_FALSE(failure->last);
  CHECK(std::string{failure->text} == std::string(sizeof failure->text - 1, 'x'));
  CHECK_FALSE(ends.take());
}

TEST_CASE("Channel: an owner that is gone gets no report") {
  Ends ends;
  Channel channel{ends.guardian.get()};
  ends.owner.reset();
  CHECK_FALSE(channel.report(Report::spawned, 1, 2));
}

TEST_CASE("Channel: a process is told with its command line, and a hundred of them at most") {
  const Ends ends;
  Channel channel{ends.guardian.get()};
  CHECK(channel.report_process(Report::straggler, ::getpid(), 0));
  const auto report = ends.take();
  REQUIRE(report);
  CHECK(report->pid == ::getpid());
  const std::string program = test::slurp("/proc/self/cmdline").c_str();  // its first word
  CHECK(std::string{report->text}.starts_with(program.substr(0, 200)));
  for (int i = 1; i < 100; ++i) {
    CHECK(channel.report_process(Report::straggler, ::getpid(), 0));
    CHECK(ends.take());
  }
  CHECK_FALSE(channel.report_process(Report::straggler, ::getpid(), 0));
  CHECK_FALSE(ends.take());
  CHECK(channel.report(Report::ended, 1, 0));  // no process
}

TEST_CASE("Channel: messages come one by one") {
  const Ends ends;
  const Channel channel{ends.guardian.get()};
  unsigned char message[2] = {};
  CHECK_FALSE(channel.receive(message));
  const unsigned char leader[] = {mirakuru::detail::to_leader, SIGUSR1};
  REQUIRE(::send(ends.owner.get(), "\x0f", 1, 0) == 1);
  REQUIRE(::send(ends.owner.get(), leader, 2, 0) == 2);
  CHECK(channel.receive(message));
  CHECK(message[0] == SIGTERM);
  CHECK(channel.receive(message));
  CHECK(message[0] == mirakuru::detail::to_leader);
  CHECK(message[1] == SIGUSR1);
  CHECK_FALSE(channel.receive(message));
}

TEST_CASE("Channel: it moves above the numbers that the command needs") {
  Ends ends;
  Channel channel{ends.guardian.get()};
  const int least = ends.guardian.get() + 10;
  REQUIRE(channel.move_above(least));
  const UniqueFd moved{channel.fd()};
  CHECK(channel.fd() >= least);
  CHECK(::fcntl(channel.fd(), F_GETFD) == FD_CLOEXEC);
  ends.guardian.reset();
  CHECK(channel.report(Report::spawned, 1, 2));
  CHECK(ends.take());
  CHECK_FALSE(Channel{-1}.move_above(3));
}
