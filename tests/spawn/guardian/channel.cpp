// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

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
  [[nodiscard]] Channel channel() { return {guardian.get(), room}; }
  /// The reports of the next message; none if there is no message.
  [[nodiscard]] std::vector<Report> take_all() const {
    std::vector<Report> reports(Report::most_in_message + 1);
    const auto size = ::recv(owner.get(), reports.data(), reports.size() * sizeof(Report), 0);
    reports.resize(size < 0 ? 0 : static_cast<std::size_t>(size) / sizeof(Report));
    return reports;
  }
  [[nodiscard]] std::optional<Report> take() const {
    const auto reports = take_all();
    if (reports.size() != 1) return {};
    return reports[0];
  }

  UniqueFd owner, guardian;
  Report room[Report::most_in_message] = {};
};

}  // namespace

TEST_CASE("Channel: a report has its facts, and its text is cut") {
  Ends ends;
  auto channel = ends.channel();
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
  auto channel = ends.channel();
  ends.owner.reset();
  CHECK_FALSE(channel.report(Report::spawned, 1, 2));
}

TEST_CASE("Channel: a process is told with its command line") {
  Ends ends;
  auto channel = ends.channel();
  CHECK(channel.report_refusal(::getpid()));
  const auto report = ends.take();
  REQUIRE(report);
  CHECK(report->kind == Report::refused);
  CHECK(report->pid == ::getpid());
  CHECK(report->value == EPERM);
  const std::string program = test::slurp("/proc/self/cmdline").c_str();  // its first word
  CHECK(std::string{report->text}.starts_with(program.substr(0, 200)));
}

TEST_CASE("Channel: stragglers come sixteen in a message, and a hundred at most") {
  Ends ends;
  auto channel = ends.channel();
  channel.send_stragglers();
  CHECK_FALSE(ends.take());  // there are none
  std::size_t told = 0;
  for (pid_t pid = 1; pid <= 120; ++pid) {
    channel.add_straggler(pid);
    const auto reports = ends.take_all();
    CHECK(reports.size() == (pid % 16 == 0 && pid < 100 ? 16 : 0));
    for (const auto& report : reports) CHECK(report.pid == static_cast<pid_t>(++told));
  }
  channel.send_stragglers();
  CHECK(ends.take_all().size() == 100 - told);
  CHECK_FALSE(channel.report_refusal(::getpid()));
  CHECK_FALSE(ends.take());
  CHECK(channel.report(Report::ended, 1, 0));  // no process
}

TEST_CASE("Channel: messages come one by one") {
  Ends ends;
  const auto channel = ends.channel();
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
  auto channel = ends.channel();
  const int least = ends.guardian.get() + 10;
  REQUIRE(channel.move_above(least));
  const UniqueFd moved{channel.fd()};
  CHECK(channel.fd() >= least);
  CHECK(::fcntl(channel.fd(), F_GETFD) == FD_CLOEXEC);
  ends.guardian.reset();
  CHECK(channel.report(Report::spawned, 1, 2));
  CHECK(ends.take());
  CHECK_FALSE(Channel{-1, ends.room}.move_above(3));
}
