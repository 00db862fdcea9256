// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "child.hpp"
#include "errors.hpp"
#include "files.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;

namespace {

/// Standard error is another descriptor for a while.
class Redirected {
 public:
  explicit Redirected(int to) : before_{::dup(2)} { ::dup2(to, 2); }
  ~Redirected() {
    ::dup2(before_, 2);
    ::close(before_);
  }
  Redirected(const Redirected&) = delete;
  Redirected& operator=(const Redirected&) = delete;

 private:
  int before_;
};

int log_file(const std::string& path) {
  return ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

std::size_t lines_in(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

TEST_CASE("Tee: each line comes at once, with the program's name, and is kept") {
  const test::TempDir directory;
  const int log = log_file(directory / "log");
  {
    const Redirected redirected{log};
    mk::Executor service{
        mk::Shell{"echo one; echo two >&2; read line; echo $line; printf unfinished"}, mk::Tee{},
        mk::BannerCheck{"one"}, in_time};
    service.start();
    const auto shown = [&] { return test::slurp(directory / "log"); };
    CHECK(test::eventually([&] { return shown() == "echo: one\necho: two\n"; }));
    service.write("three\n");
    CHECK(test::eventually([&] { return shown().find("echo: three\n") != std::string::npos; }));
    service.wait(30s).stop();
    CHECK(shown() == "echo: one\necho: two\necho: three\necho: unfinished\n");
    CHECK(service.output() == "one\nthree\nunfinished");
    CHECK(service.err_output() == "two\n");
    // The second run begins anew.
    service.start().kill();
    CHECK(lines_in(shown()) >= 5);
  }
  ::close(log);
}

TEST_CASE("Tee: all that was written before the end is shown, and in whole lines") {
  const test::TempDir directory;
  const int log = log_file(directory / "log");
  const std::string line(200, 'x');
  {
    const Redirected redirected{log};
    mk::Executor service{mk::Shell{"i=0; while [ $i -lt 3000 ]; do echo " + line + "; echo " +
                                   line + " >&2; i=$((i + 1)); done"},
                         mk::Tee{}, in_time};
    service.start().wait(60s).stop();
  }
  const auto shown = test::slurp(directory / "log");
  CHECK(lines_in(shown) == 6000);
  CHECK(shown.size() == 6000 * (line.size() + 5));
  ::close(log);
}

TEST_CASE("Tee: a reader that does not read holds nobody up") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  {
    const Redirected redirected{ends[1]};
    mk::Executor service{mk::Shell{"seq 200000; echo ready; exec sleep 300"}, mk::Tee{},
                         mk::BannerCheck{"ready"}, in_time};
    service.start();
    const test::Elapsed elapsed;
    service.stop();
    CHECK(elapsed < 5s);
  }
  // Whoever reads later gets whole lines.
  ::close(ends[1]);
  std::string shown(200'000, '\0');
  const auto size = ::read(ends[0], shown.data(), shown.size());
  REQUIRE(size > 1000);
  CHECK(shown.starts_with("seq: 1\nseq: 2\n"));
  ::close(ends[0]);
  // A reader that is gone, and none at all.
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  ::close(ends[0]);
  {
    const Redirected redirected{ends[1]};
    mk::Executor service{mk::Shell{"seq 1000"}, mk::Tee{}, in_time};
    service.start().wait(30s).stop();
    CHECK(service.output().ends_with("1000\n"));
  }
  ::close(ends[1]);
}

TEST_CASE("Tee: a program that never stops to print ends with its owner") {
  const auto mark = test::mark();
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  CHECK(test::in_child([&] {
          ::dup2(null, 2);
          mk::Executor service{mk::Shell{"exec yes " + mark}, mk::Tee{},
                               mk::TimeoutBudget{.start = 30s, .stop = 1s}};
          service.start();
          ::raise(SIGKILL);
          return false;
        }) == 128 + SIGKILL);
  CHECK(test::eventually([&] { return test::processes_matching(mark) == 0; }));
  ::close(null);
}

TEST_CASE("Tee: a long line comes in pieces") {
  const test::TempDir directory;
  const int log = log_file(directory / "log");
  {
    const Redirected redirected{log};
    mk::Executor service{mk::Shell{"head -c 100000 /dev/zero | tr '\\0' x; echo; echo end"},
                         mk::Tee{}, in_time};
    service.start().wait(30s).stop();
  }
  const auto shown = test::slurp(directory / "log");
  CHECK(static_cast<std::size_t>(std::count(shown.begin(), shown.end(), 'x')) == 100'000);
  CHECK(shown.ends_with("head: end\n"));
  ::close(log);
}
