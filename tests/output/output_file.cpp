// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

#include <mirakuru/output/output_file.hpp>

#include "files.hpp"
#include "process.hpp"

namespace mk = mirakuru;
using namespace std::string_literals;
using mk::OutputFile;
using mk::detail::last_lines;

namespace {

/// A file as an output policy opens it.
OutputFile opened(const std::string& path, int flags = O_RDWR | O_APPEND) {
  return OutputFile{
      mk::detail::checked_fd(::open(path.c_str(), flags | O_CREAT | O_CLOEXEC, 0600), "open")};
}

/// The same, kept from now on.
OutputFile kept(const std::string& path, int flags = O_RDWR | O_APPEND) {
  auto file = opened(path, flags);
  file.keep();
  return file;
}

/// Writes as a child does, through the descriptor.
void print(const OutputFile& file, std::string_view text) {
  REQUIRE(::write(file.fd(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

/// Reads at most `room` bytes.
std::string read(const OutputFile& file, long long offset, std::size_t room) {
  std::string text(room, '?');
  text.resize(file.read(offset, text));
  return text;
}

/// "line 1\nline 2\n", from `first` to `last`.
std::string lines(int first, int last) {
  std::string text;
  for (int i = first; i <= last; ++i) text += "line " + std::to_string(i) + '\n';
  return text;
}

std::string without_end(std::string text) {
  text.pop_back();
  return text;
}

}  // namespace

static_assert(!std::is_copy_constructible_v<OutputFile>);
static_assert(std::is_nothrow_move_constructible_v<OutputFile>);
static_assert(std::is_nothrow_move_assignable_v<OutputFile>);

TEST_CASE("last_lines: counts lines from a text's end") {
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

TEST_CASE("OutputFile: without a descriptor it is the parent's own, and keeps nothing") {
  OutputFile file;
  for (int i = 0; i < 2; ++i) {
    CHECK(file.fd() == -1);
    CHECK_FALSE(file.kept());
    CHECK(file.text().empty());
    CHECK(file.tail().empty());
    CHECK(file.begin() == 0);
    CHECK(file.size() == 0);
    CHECK(read(file, 0, 10).empty());
    file.keep();
  }
}

TEST_CASE("OutputFile: an excerpt has both ends of a long file, and counts the rest") {
  const test::TempDir directory;
  const auto excerpt = [&](const std::string& name, const std::string& text) {
    auto file = opened(directory / name);
    file.keep();
    print(file, text);
    return file.excerpt();
  };
  CHECK(excerpt("none", "").empty());
  CHECK(excerpt("short", "a\nb\n") == "a\nb");
  CHECK(excerpt("lines", lines(1, 50'000)).find("\n[... 49980 lines left out ...]\n") !=
        std::string::npos);
  {
    auto file = opened(directory / "few");
    file.keep();
    print(file, lines(1, 9));
    CHECK(file.excerpt(1, 2) == "line 1\n[... 6 lines left out ...]\nline 8\nline 9");
  }
  const auto huge = excerpt("huge", std::string(6 << 20, 'x') + "\nend\n");
  CHECK(huge.find(" bytes left out ...]\n") != std::string::npos);
  CHECK(huge.ends_with("\nend"));
}

TEST_CASE("OutputFile: a file that is not kept is empty to its readers") {
  const test::TempDir directory;
  const auto file = opened(directory / "out");
  print(file, "out\n");
  CHECK_FALSE(file.kept());
  CHECK(file.text().empty());
  CHECK(file.tail().empty());
  CHECK(file.size() == 0);
  CHECK(read(file, 0, 10).empty());
  CHECK(test::slurp(directory / "out") == "out\n");
}

TEST_CASE("OutputFile: a kept file is read as far as it has come") {
  const test::TempDir directory;
  const auto file = kept(directory / "out");
  CHECK(file.kept());
  CHECK(file.fd() > 2);
  CHECK(file.text().empty());
  CHECK(file.tail().empty());
  print(file, "a");
  CHECK(file.text() == "a");
  CHECK(file.size() == 1);
  print(file, "b\nc\n\n");
  CHECK(file.text() == "ab\nc\n\n");
  CHECK(file.tail() == "ab\nc");
  CHECK(file.text() == "ab\nc\n\n");
  CHECK(file.size() == 6);
}

TEST_CASE("OutputFile: read() begins at an offset of this run, and ends where there is no room") {
  const test::TempDir directory;
  print(opened(directory / "out"), "old\n");
  const auto file = kept(directory / "out");
  CHECK(read(file, 0, 10).empty());
  print(file, "abcdef");
  CHECK(read(file, 0, 10) == "abcdef");
  CHECK(read(file, 0, 3) == "abc");
  CHECK(read(file, 3, 3) == "def");
  CHECK(read(file, 4, 10) == "ef");
  CHECK(read(file, 6, 10).empty());
  CHECK(read(file, 100, 10).empty());
  CHECK(read(file, 2, 0).empty());
  print(file, "g");
  CHECK(read(file, 6, 10) == "g");
  CHECK(read(file, -4, 5) == "old\na");
  CHECK(file.begin() == 4);
  CHECK_THROWS_AS((void)read(file, -5, 10), std::system_error);
  REQUIRE(::ftruncate(file.fd(), 0) == 0);
  CHECK(read(file, 0, 10).empty());
}

TEST_CASE("OutputFile: bytes are bytes, and many of them") {
  const test::TempDir directory;
  const auto file = kept(directory / "out");
  std::string text;
  for (int i = 0; i < 3'000'000; ++i) text += static_cast<char>(i * 7);
  print(file, text);
  CHECK((file.text() == text));
}

TEST_CASE("OutputFile: the place of its descriptor neither matters nor moves") {
  const test::TempDir directory;
  const auto file = kept(directory / "out");
  print(file, "abc");
  REQUIRE(::lseek(file.fd(), 1, SEEK_SET) == 1);
  CHECK(file.text() == "abc");
  CHECK(file.tail() == "abc");
  CHECK(::lseek(file.fd(), 0, SEEK_CUR) == 1);
  print(file, "d");
  CHECK(file.text() == "abcd");
}

TEST_CASE("OutputFile: earlier text in the file is not of this run") {
  const test::TempDir directory;
  print(opened(directory / "out"), lines(1, 20));
  const auto file = kept(directory / "out");
  CHECK(file.begin() == static_cast<long long>(lines(1, 20).size()));
  CHECK(file.size() == 0);
  CHECK(file.text().empty());
  CHECK(file.tail().empty());
  print(file, "new 1\nnew 2\n");
  CHECK(file.text() == "new 1\nnew 2\n");
  CHECK(file.tail() == "new 1\nnew 2");
}

TEST_CASE("OutputFile: keep() begins anew each time") {
  const test::TempDir directory;
  auto file = kept(directory / "out");
  print(file, "first");
  file.keep();
  CHECK(file.text().empty());
  print(file, "second");
  CHECK(file.text() == "second");
  CHECK(file.begin() == 5);
}

TEST_CASE("OutputFile: tail() is ten lines") {
  const test::TempDir directory;
  const auto file = kept(directory / "out");
  print(file, lines(1, 10));
  CHECK(file.tail() == without_end(lines(1, 10)));
  print(file, lines(11, 12));
  CHECK(file.tail() == without_end(lines(3, 12)));
  print(file, "and more");
  CHECK(file.tail() == lines(4, 12) + "and more");
  print(file, "\n\n\n");
  CHECK(file.tail() == lines(4, 12) + "and more");
}

TEST_CASE("OutputFile: tail() is two kilobytes") {
  const test::TempDir directory;
  const auto file = kept(directory / "out");
  print(file, "head" + std::string(2047, 'x') + 'y');
  CHECK(file.tail() == std::string(2047, 'x') + 'y');
  print(file, "\nz");
  CHECK(file.tail() == std::string(2045, 'x') + "y\nz");
  CHECK(file.text().size() == 4 + 2048 + 2);
  print(file, "\n\xc3\xbc" + std::string(2047, 'x'));
  CHECK(file.tail() == std::string(2047, 'x'));  // half a character is none
}

TEST_CASE("OutputFile: after a cut it has only the text that is left") {
  const test::TempDir directory;
  print(opened(directory / "out"), "old\n");
  const auto file = kept(directory / "out");
  print(file, "new\nnewer\n");
  REQUIRE(::ftruncate(file.fd(), 8) == 0);
  CHECK(file.text() == "new\n");
  CHECK(file.tail() == "new");
  CHECK(file.size() == 4);
  REQUIRE(::ftruncate(file.fd(), 0) == 0);
  CHECK(file.size() == -4);
  CHECK(file.text().empty());
  CHECK(file.tail().empty());
  print(file, "xyz");
  CHECK(file.size() == -1);
  CHECK(file.text() == "xyz");
  CHECK(file.tail() == "xyz");
}

TEST_CASE("OutputFile: is moved with its begin") {
  const test::TempDir directory;
  print(opened(directory / "out"), "old\n");
  auto first = kept(directory / "out");
  print(first, "new\n");
  const int fd = first.fd();
  OutputFile second{std::move(first)};
  CHECK_FALSE(first.kept());
  CHECK(second.fd() == fd);
  CHECK(second.text() == "new\n");
  OutputFile third;
  third = std::move(second);
  CHECK(third.fd() == fd);
  CHECK(third.text() == "new\n");
  third = {};
  CHECK(third.text().empty());
}

TEST_CASE("OutputFile: closes its descriptor") {
  const test::TempDir directory;
  const auto before = test::open_fds();
  {
    const auto file = kept(directory / "out");
    CHECK(test::open_fds().size() == before.size() + 1);
  }
  CHECK(test::open_fds() == before);
}

TEST_CASE("OutputFile: a file that cannot be read is an error") {
  const test::TempDir directory;
  const auto file = kept(directory / "out", O_WRONLY);
  CHECK(file.text().empty());  // there is nothing to read
  print(file, "a");
  CHECK_THROWS_AS((void)file.text(), std::system_error);
  CHECK_THROWS_AS((void)file.tail(), std::system_error);
}

TEST_CASE("OutputFile: open() reads a plain file from its begin, or from now on") {
  const test::TempDir directory;
  const auto log = directory / "log";
  const auto writer = opened(log);
  print(writer, "old\n");
  auto file = OutputFile::open(log);
  CHECK(file.kept());
  CHECK((::fcntl(file.fd(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((::fcntl(file.fd(), F_GETFL) & O_ACCMODE) == O_RDONLY);
  CHECK(file.begin() == 0);
  CHECK(file.text() == "old\n");
  file.keep();
  CHECK(file.text().empty());
  print(writer, "new\n");
  CHECK(file.text() == "new\n");
  CHECK(read(file, -4, 8) == "old\nnew\n");
}

TEST_CASE("OutputFile: open() names the file that it cannot open, and does not block") {
  const test::TempDir directory;
  const auto missing = directory / "missing";
  CHECK_THROWS_WITH_AS((void)OutputFile::open(missing),
                       ("open " + missing + ": No such file or directory").c_str(),
                       std::system_error);
  CHECK_FALSE(test::exists(missing));
  CHECK_THROWS_AS((void)OutputFile::open(""), std::invalid_argument);
  REQUIRE(::mkfifo((directory / "fifo").c_str(), 0600) == 0);
  CHECK_THROWS_AS((void)read(OutputFile::open(directory / "fifo"), 0, 1), std::system_error);
}
