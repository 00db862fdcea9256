// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/output/streams.hpp>

#include "files.hpp"
#include "process.hpp"

namespace mk = mirakuru;
using mk::OutputStreams;

namespace {

/// A descriptor as a careless policy opens it: not close-on-exec.
int open_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT, 0600);
  REQUIRE(fd > 2);
  return fd;
}

void print(const mk::OutputFile& file, std::string_view text) {
  REQUIRE(::write(file.fd(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

bool close_on_exec(const mk::OutputFile& file) {
  return (::fcntl(file.fd(), F_GETFD) & FD_CLOEXEC) != 0;
}

/// The model of the concept's documentation.
struct InMemory {
  static constexpr bool keeps_output = true;
  OutputStreams open() const {
    const int fd = ::memfd_create("output", 0);
    return OutputStreams::from(fd, fd);
  }
};

/// Two files that may be kept.
template <bool keeps>
struct Files {
  static constexpr bool keeps_output = keeps;
  std::string out, err;
  OutputStreams open() const { return OutputStreams::from(open_file(out), open_file(err)); }
};

}  // namespace

static_assert(!std::is_copy_constructible_v<OutputStreams>);
static_assert(std::is_nothrow_move_constructible_v<OutputStreams>);
static_assert(std::is_nothrow_move_assignable_v<OutputStreams>);
static_assert(mk::Output<InMemory>);

TEST_CASE("OutputStreams: both are the parent's own by default") {
  const auto before = test::open_fds();
  for (const auto& streams : {OutputStreams{}, OutputStreams::from(-1, -1)}) {
    CHECK(streams.out().fd() == -1);
    CHECK(streams.err().fd() == -1);
  }
  CHECK(test::open_fds() == before);
}

TEST_CASE("OutputStreams: from() takes descriptors over and makes them close-on-exec") {
  const test::TempDir directory;
  const auto before = test::open_fds();
  {
    const int out = open_file(directory / "out"), err = open_file(directory / "err");
    const auto streams = OutputStreams::from(out, err);
    CHECK(streams.out().fd() == out);
    CHECK(streams.err().fd() == err);
    CHECK(close_on_exec(streams.out()));
    CHECK(close_on_exec(streams.err()));
    CHECK_FALSE(streams.out().kept());
    CHECK_FALSE(streams.err().kept());
  }
  CHECK(test::open_fds() == before);
}

TEST_CASE("OutputStreams: from() takes one descriptor for both streams") {
  const test::TempDir directory;
  const auto before = test::open_fds();
  {
    auto streams = OutputStreams::from(open_file(directory / "log"), -1);
    CHECK(streams.err().fd() == -1);
    const int log = open_file(directory / "log");
    streams = OutputStreams::from(log, log);
    CHECK(streams.out().fd() == log);
    CHECK(streams.err().fd() != log);
    CHECK(close_on_exec(streams.err()));
    streams.keep();
    print(streams.out(), "out\n");
    print(streams.err(), "err\n");
    CHECK(streams.out().text() == "out\nerr\n");
    CHECK(streams.err().text() == "out\nerr\n");
  }
  CHECK(test::open_fds() == before);
}

TEST_CASE("OutputStreams: from() moves a descriptor above the standard streams") {
  const test::TempDir directory;
  const int in = ::dup(STDIN_FILENO);
  REQUIRE(in > 2);
  ::close(STDIN_FILENO);
  REQUIRE(::open((directory / "out").c_str(), O_RDWR | O_CREAT, 0600) == STDIN_FILENO);
  {
    const auto streams = OutputStreams::from(STDIN_FILENO, -1);
    CHECK(streams.out().fd() > 2);
    CHECK(close_on_exec(streams.out()));
    CHECK(::fcntl(STDIN_FILENO, F_GETFD) == -1);
    print(streams.out(), "a");
  }
  CHECK(test::slurp(directory / "out") == "a");
  REQUIRE(::dup2(in, STDIN_FILENO) == STDIN_FILENO);
  ::close(in);
}

TEST_CASE("OutputStreams: from() refuses a descriptor that is not open, and closes the other") {
  const test::TempDir directory;
  const auto before = test::open_fds();
  const auto error = [](int out, int err) {
    try {
      (void)OutputStreams::from(out, err);
    } catch (const std::system_error& caught) {
      return caught.code().value();
    }
    return 0;
  };
  const int closed = before.back() + 100;
  CHECK(error(closed, open_file(directory / "err")) == EBADF);
  CHECK(error(open_file(directory / "out"), closed) == EBADF);
  CHECK(error(closed, closed) == EBADF);
  CHECK(test::open_fds() == before);
}

TEST_CASE("OutputStreams: keep() keeps each stream from its own end") {
  const test::TempDir directory;
  print(OutputStreams::from(open_file(directory / "out"), -1).out(), "old\n");
  auto streams = OutputStreams::from(open_file(directory / "out"), open_file(directory / "err"));
  print(streams.err(), "x");
  CHECK(streams.err().text().empty());
  streams.keep();
  print(streams.out(), "out");
  print(streams.err(), "err");
  CHECK(streams.out().text() == "out");
  CHECK(streams.out().begin() == 4);
  CHECK(streams.err().text() == "err");
  CHECK(streams.err().begin() == 1);

  const int out = streams.out().fd();
  const OutputStreams moved{std::move(streams)};
  CHECK(moved.out().fd() == out);
  CHECK(moved.out().text() == "out");
  CHECK(moved.err().text() == "err");
}

TEST_CASE("OutputStreams: one may be the parent's own while the other is kept") {
  const test::TempDir directory;
  auto streams = OutputStreams::from(open_file(directory / "out"), -1);
  streams.keep();
  print(streams.out(), "a");
  CHECK(streams.out().text() == "a");
  CHECK(streams.err().fd() == -1);
  CHECK_FALSE(streams.err().kept());
  CHECK(streams.err().text().empty());
  CHECK(streams.err().size() == 0);
}

TEST_CASE("Output: an executor keeps the streams of a policy that says so") {
  mk::Executor executor{mk::Shell{"echo out; echo err >&2; exec sleep 300"}, InMemory{},
                        mk::BannerCheck{"^err$"}};
  for (int i = 0; i < 2; ++i) {
    executor.start();
    CHECK(executor.output() == "out\nerr\n");
    CHECK(executor.err_output() == "out\nerr\n");
    executor.stop();
  }
}

TEST_CASE("Output: an executor keeps the streams of no other policy") {
  const test::TempDir directory;
  const auto message = [](auto output) {
    mk::Executor executor{mk::Shell{"echo the last words; exit 3"}, std::move(output),
                          [](const mk::Process&) { return false; }};
    try {
      executor.start();
    } catch (const mk::ProcessExitedWithError& error) {
      return std::string{error.what()};
    }
    return std::string{};
  };
  const auto out = directory / "out", err = directory / "err";
  CHECK(message(Files<true>{out, err}).find("\n    the last words") != std::string::npos);
  CHECK(message(Files<false>{out, err}).find("\n    the last words") == std::string::npos);
  CHECK(test::slurp(out) == "the last words\nthe last words\n");
}

TEST_CASE("last_line: a long line is cut between two characters") {
  const auto last_line_of = [](const std::string& text) {
    auto streams = mk::Capture{}.open();
    streams.keep();
    REQUIRE(::write(streams.out().fd(), text.data(), text.size()) == std::ssize(text));
    return mk::detail::last_line(streams);
  };
  const std::string start(199, 'x');
  CHECK(last_line_of("a\n" + start + "y\n") == start + "y");
  CHECK(last_line_of("a\n" + start + "\xc3\xbc\n") == start + " [...]");
}
