// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <unistd.h>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/output/streams.hpp>

#include "support.hpp"

namespace mk = mirakuru;
using namespace std::string_literals;
using mk::OutputStreams;
using mk::detail::last_lines;
using mk::detail::UniqueFd;

namespace {

/// A file in a directory of the test's, opened as an output policy opens it.
UniqueFd open_file(const std::string& path, int flags = O_RDWR | O_APPEND) {
  return mk::detail::checked_fd(::open(path.c_str(), flags | O_CREAT | O_CLOEXEC, 0600), "open");
}

/// Writes as a child does, through a stream's descriptor.
void print(int fd, std::string_view text) {
  REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

/// Both streams in files of their own.
struct Files {
  test::TempDir directory;
  OutputStreams streams{open_file(directory / "out"), open_file(directory / "err"), true};
};

/// "line 1\nline 2\n", from `first` to `last`.
std::string lines(int first, int last) {
  std::string text;
  for (int i = first; i <= last; ++i) text += "line " + std::to_string(i) + '\n';
  return text;
}

}  // namespace

static_assert(!std::is_copy_constructible_v<OutputStreams>);
static_assert(std::is_nothrow_move_constructible_v<OutputStreams>);
static_assert(std::is_nothrow_move_assignable_v<OutputStreams>);

TEST_CASE("the last lines of a text") {
  struct Row {
    std::string text;
    std::size_t count;
    std::string last;
  };
  const Row rows[] = {
      {"", 10, ""},
      {"\n", 10, ""},
      {"\n\n\n", 1, ""},
      {"a", 1, "a"},
      {"a\n", 1, "a"},
      {"a\nb\nc", 1, "c"},
      {"a\nb\nc\n", 1, "c"},
      {"a\nb\nc\n", 2, "b\nc"},
      {"a\nb\nc\n", 3, "a\nb\nc"},
      {"a\nb\nc\n", 4, "a\nb\nc"},
      {"a\nb\nc\n", 1000, "a\nb\nc"},
      {"\na\n", 2, "\na"},
      {"\na\n", 1, "a"},
      // Empty lines count but at the end.
      {"a\n\nb\n", 2, "\nb"},
      {"a\n\nb\n", 3, "a\n\nb"},
      {"a\nb\n\n\n", 1, "b"},
      {"a\nb\n\n\n", 2, "a\nb"},
      {"a\r\nb\r\n", 1, "b\r"},
      {"a\nb\0c\n"s, 1, "b\0c"s},
      {lines(1, 25), 10, lines(16, 25).substr(0, 79)},
  };
  for (const auto& [text, count, last] : rows) {
    CAPTURE(text);
    CAPTURE(count);
    CHECK(last_lines(text, count) == last);
  }
}

TEST_CASE("streams without descriptors are the parent's own, and keep nothing") {
  const OutputStreams streams;
  CHECK(streams.out() == -1);
  CHECK(streams.err() == -1);
  CHECK(streams.output().empty());
  CHECK(streams.err_output().empty());
  CHECK(streams.output_end().empty());
  CHECK(streams.err_output_end().empty());
}

TEST_CASE("what is not kept is not read") {
  const test::TempDir directory;
  const OutputStreams streams{open_file(directory / "out"), open_file(directory / "err"), false};
  print(streams.out(), "out\n");
  print(streams.err(), "err\n");
  CHECK(streams.output().empty());
  CHECK(streams.err_output().empty());
  CHECK(streams.output_end().empty());
  CHECK(streams.err_output_end().empty());
  CHECK(test::slurp(directory / "out") == "out\n");
}

TEST_CASE("what is kept is read as far as it goes, each stream by itself") {
  const Files files;
  const auto& streams = files.streams;
  CHECK(streams.out() > 2);
  CHECK(streams.err() > 2);
  CHECK(streams.out() != streams.err());
  CHECK(streams.output().empty());
  CHECK(streams.output_end().empty());
  print(streams.out(), "a");
  CHECK(streams.output() == "a");
  CHECK(streams.err_output().empty());
  print(streams.err(), "x\ny\n");
  print(streams.out(), "b\nc\n\n");
  CHECK(streams.output() == "ab\nc\n\n");
  CHECK(streams.err_output() == "x\ny\n");
  CHECK(streams.output_end() == "ab\nc");
  CHECK(streams.err_output_end() == "x\ny");
  CHECK(streams.output() == "ab\nc\n\n");
}

TEST_CASE("what is kept is read on from an offset of this run's, as far as there is room") {
  const test::TempDir directory;
  print(open_file(directory / "out").get(), "old\n");
  const OutputStreams streams{open_file(directory / "out"), open_file(directory / "err"), true};
  const auto out = [&](long long offset, std::size_t room) {
    std::string text(room, '?');
    text.resize(streams.read_out(offset, text));
    return text;
  };
  CHECK(out(0, 10).empty());
  print(streams.out(), "abcdef");
  CHECK(out(0, 10) == "abcdef");
  CHECK(out(0, 3) == "abc");
  CHECK(out(3, 3) == "def");
  CHECK(out(4, 10) == "ef");
  CHECK(out(6, 10).empty());
  CHECK(out(100, 10).empty());
  CHECK(out(2, 0).empty());
  print(streams.out(), "g");
  CHECK(out(6, 10) == "g");

  print(streams.err(), "xyz");
  std::string text(2, '?');
  CHECK(out(-4, 5) == "old\na");
  CHECK(streams.out_begin() == 4);
  CHECK(streams.err_begin() == 0);
  CHECK(streams.read_err(1, text) == 2);
  CHECK(text == "yz");
  REQUIRE(::ftruncate(streams.out(), 0) == 0);
  CHECK(out(0, 10).empty());

  const OutputStreams dropped{open_file(directory / "out"), UniqueFd{}, false};
  print(dropped.out(), "abcdef");
  CHECK(dropped.read_out(0, text) == 0);
  CHECK(OutputStreams{}.read_err(0, text) == 0);
}

TEST_CASE("bytes are bytes, and many of them") {
  const Files files;
  std::string text;
  for (int i = 0; i < 3'000'000; ++i) text += static_cast<char>(i * 7);
  print(files.streams.out(), text);
  CHECK((files.streams.output() == text));
}

TEST_CASE("where the writer stands in the file neither matters nor is moved") {
  const Files files;
  const int out = files.streams.out();
  print(out, "abc");
  REQUIRE(::lseek(out, 1, SEEK_SET) == 1);
  CHECK(files.streams.output() == "abc");
  CHECK(files.streams.output_end() == "abc");
  CHECK(::lseek(out, 0, SEEK_CUR) == 1);
  print(out, "d");
  CHECK(files.streams.output() == "abcd");
}

TEST_CASE("what was in the file before is not this run's") {
  const test::TempDir directory;
  print(open_file(directory / "out").get(), lines(1, 20));
  print(open_file(directory / "err").get(), "old");
  const OutputStreams streams{open_file(directory / "out"), open_file(directory / "err"), true};
  CHECK(streams.output().empty());
  CHECK(streams.output_end().empty());
  CHECK(streams.err_output_end().empty());
  print(streams.out(), "new 1\nnew 2\n");
  print(streams.err(), "er");
  CHECK(streams.output() == "new 1\nnew 2\n");
  CHECK(streams.output_end() == "new 1\nnew 2");
  CHECK(streams.err_output() == "er");
  CHECK(streams.err_output_end() == "er");
}

TEST_CASE("two streams may share a file") {
  const test::TempDir directory;
  print(open_file(directory / "log").get(), "old\n");
  const OutputStreams streams{open_file(directory / "log"), open_file(directory / "log"), true};
  print(streams.out(), "out\n");
  print(streams.err(), "err\n");
  print(streams.out(), "out\n");
  CHECK(streams.output() == "out\nerr\nout\n");
  CHECK(streams.err_output() == streams.output());
  CHECK(test::slurp(directory / "log") == "old\nout\nerr\nout\n");
}

TEST_CASE("the end for a message is ten lines") {
  const Files files;
  print(files.streams.out(), lines(1, 10));
  CHECK(files.streams.output_end() == lines(1, 10).substr(0, lines(1, 10).size() - 1));
  print(files.streams.out(), lines(11, 12));
  CHECK(files.streams.output_end() == lines(3, 12).substr(0, lines(3, 12).size() - 1));
  print(files.streams.out(), "and more");
  CHECK(files.streams.output_end() == lines(4, 12) + "and more");
  print(files.streams.out(), "\n\n\n");
  CHECK(files.streams.output_end() == lines(4, 12) + "and more");
}

TEST_CASE("the end for a message is two kilobytes") {
  const Files files;
  print(files.streams.out(), "head" + std::string(2047, 'x') + 'y');
  CHECK(files.streams.output_end() == std::string(2047, 'x') + 'y');
  print(files.streams.out(), "\nz");
  CHECK(files.streams.output_end() == std::string(2045, 'x') + "y\nz");
  CHECK(files.streams.output().size() == 4 + 2048 + 2);
}

TEST_CASE("what was cut off is gone") {
  const test::TempDir directory;
  print(open_file(directory / "out").get(), "old\n");
  const OutputStreams streams{open_file(directory / "out"), open_file(directory / "err"), true};
  print(streams.out(), "new\nnewer\n");
  REQUIRE(::ftruncate(streams.out(), 8) == 0);
  CHECK(streams.output() == "new\n");
  CHECK(streams.output_end() == "new");
  CHECK(streams.out_size() == 4);
  REQUIRE(::ftruncate(streams.out(), 0) == 0);
  CHECK(streams.out_size() == -4);
  CHECK(streams.output().empty());
  CHECK(streams.output_end().empty());
}

TEST_CASE("streams are moved with their beginnings") {
  const test::TempDir directory;
  print(open_file(directory / "out").get(), "old\n");
  OutputStreams first{open_file(directory / "out"), open_file(directory / "err"), true};
  print(first.out(), "new\n");
  const int out = first.out();
  OutputStreams second{std::move(first)};
  CHECK(second.out() == out);
  CHECK(second.output() == "new\n");
  OutputStreams third;
  third = std::move(second);
  CHECK(third.out() == out);
  CHECK(third.output() == "new\n");
  third = {};
  CHECK(third.output().empty());
}

TEST_CASE("streams close their files") {
  const auto before = test::open_fds();
  {
    const Files files;
    CHECK(test::open_fds().size() == before.size() + 2);
  }
  CHECK(test::open_fds() == before);
}

TEST_CASE("a file that cannot be read is told") {
  const test::TempDir directory;
  const OutputStreams streams{open_file(directory / "out", O_WRONLY), open_file(directory / "err"),
                              true};
  CHECK(streams.output().empty());  // there is nothing to read
  print(streams.out(), "a");
  CHECK_THROWS_AS((void)streams.output(), std::system_error);
  CHECK_THROWS_AS((void)streams.output_end(), std::system_error);
  CHECK(streams.err_output().empty());
}

TEST_CASE("a stream may be the parent's own while the other is kept") {
  const test::TempDir directory;
  const OutputStreams streams{open_file(directory / "out"), UniqueFd{}, true};
  print(streams.out(), "a");
  CHECK(streams.output() == "a");
  CHECK(streams.err() == -1);
  CHECK(streams.err_output().empty());
  CHECK(streams.err_output_end().empty());
  CHECK(streams.err_size() == 0);
}
