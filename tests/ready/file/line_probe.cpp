// SPDX-License-Identifier: BSL-1.0
// Probes for a line of a file, polled at made-up moments.
#include <sys/socket.h>
#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/laws.hpp>
#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/ready/file/line_probe.hpp>

#include "files.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

namespace {

constexpr mk::TimePoint epoch{100h};
const mk::OutputStreams no_streams;

/// A log in a directory of its own, and the probe of a process that is to write it.
struct Log {
  test::TempDir directory;
  std::string path = directory / "log";
  mk::detail::FileChanges changes;
  mk::Process process{1, no_streams, true, {.since = epoch, .changes = &changes}};
  mk::LineMatcher pattern{"^ready$"};
  mk::LineProbe probe{process, path, pattern};

  void print(const std::string& text) const {
    std::ofstream{path, std::ios::app} << text << std::flush;
  }
};

/// The check of the contributor's guide.
struct LogFileCheck {
  mk::FileName path;
  mk::LineMatcher pattern;

  std::string describe() const { return "a line in " + path.str(); }
  std::unique_ptr<mk::Probe> probe(const mk::Process& process) const {
    return std::make_unique<mk::LineProbe>(process, path.str(), pattern);
  }
};

}  // namespace

TEST_CASE("LineProbe: finds a line of a file that comes later") {
  Log log;
  CHECK(log.probe.poll(epoch).reason() == "no such file or directory");
  log.print("begun\nrea");
  CHECK_FALSE(log.probe.poll(epoch + 1ms));
  log.print("dy\n");
  CHECK(log.probe.poll(epoch + 2ms));
}

TEST_CASE("LineProbe: a file that replaces another one is searched from its begin") {
  Log log;
  log.print("the service begins\n");
  CHECK_FALSE(log.probe.poll(epoch));
  SUBCASE("at once") {
    std::ofstream{log.directory / "new"} << "ready\n";
    std::rename((log.directory / "new").c_str(), log.path.c_str());
  }
  SUBCASE("after a time without a file") {
    std::rename(log.path.c_str(), (log.directory / "old").c_str());
    CHECK_FALSE(log.probe.poll(epoch + 1ms));
    log.print("ready\n");
  }
  SUBCASE("it is the same file, cut") { std::ofstream{log.path} << "ready\n"; }
  CHECK(log.probe.poll(epoch + 2ms));
}

TEST_CASE("LineProbe: a file that cannot be opened is tried again") {
  Log log;
  // A socket is there and cannot be opened, as a file that goes right after the look at its place.
  const mk::detail::UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const auto endpoint = mk::SocketPath{log.path}.endpoint();
  REQUIRE(::bind(socket.get(), endpoint.data(), endpoint.size) == 0);
  CHECK(log.probe.poll(epoch).reason() == "no such device or address");
  ::unlink(log.path.c_str());
  log.print("begun\n");
  CHECK(log.probe.poll(epoch + 1ms).reason() == "no such line so far");
  std::rename(log.path.c_str(), (log.directory / "old").c_str());
  REQUIRE(::symlink("nowhere", log.path.c_str()) == 0);
  CHECK(log.probe.poll(epoch + 2ms).reason() == "no such line so far");
  ::unlink(log.path.c_str());
  log.print("ready\n");
  CHECK(log.probe.poll(epoch + 3ms));
}

TEST_CASE("LineProbe: a file that was moved away is searched to its end") {
  Log log;
  log.print("begun\n");
  CHECK_FALSE(log.probe.poll(epoch));
  log.print("ready\n");
  std::rename(log.path.c_str(), (log.directory / "old").c_str());
  CHECK(log.probe.poll(epoch + 1ms));
}

TEST_CASE("LineProbe: after close() no new input counts") {
  Log log;
  SUBCASE("the file is there") {
    log.print("begun\n");
    CHECK_FALSE(log.probe.poll(epoch));
    log.probe.close(epoch + 1s);
    log.print("ready\n");
    CHECK_FALSE(log.probe.poll(epoch + 1ms));
  }
  SUBCASE("the last input is in time") {
    log.print("begun\n");
    CHECK_FALSE(log.probe.poll(epoch));
    log.print("ready\n");
    log.probe.close(epoch + 1s);
    CHECK(log.probe.poll(epoch + 1ms));
  }
  SUBCASE("the file was never opened") {
    log.print("ready\n");
    log.probe.close(epoch + 1s);
    CHECK(log.probe.poll(epoch + 1ms));
  }
}

TEST_CASE("LineProbe: is pending while there is more input, up to the time that close() names") {
  Log log;
  const std::string line(99, 'x');
  std::string lines;
  for (int i = 0; i < 10'000; ++i) lines += line + '\n';
  for (int i = 0; i < 40; ++i) log.print(lines);
  CHECK_FALSE(log.probe.poll(epoch));
  CHECK(log.probe.pending());
  log.probe.close(epoch + 1ms);
  CHECK_FALSE(log.probe.poll(epoch + 1ms));
  CHECK_FALSE(log.probe.pending());
}

TEST_CASE("LineProbe: a check with it keeps the laws of a check") {
  const test::TempDir directory;
  const auto log = directory / "log";
  const mk::Shell service{"trap 'rm " + log + "; exit' TERM; echo ready > " + log +
                          "; while :; do sleep 0.1; done"};
  CHECK(mk::laws::check_check(LogFileCheck{log, "^ready$"}, service) == mk::laws::Broken{});
}
