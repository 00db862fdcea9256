// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>
#include <algorithm>
#include <memory>

#include <mirakuru/output/output_file.hpp>
#include <mirakuru/text/cut.hpp>
#include <mirakuru/text/excerpt.hpp>

namespace mirakuru {

namespace detail {

inline constexpr std::size_t output_block_size = 256 * 1024;

[[nodiscard]] inline long long file_size(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) throw_errno("fstat");
  return status.st_size;
}

[[gnu::cold]] MIRAKURU_DECL std::string last_lines(const std::string& text, std::size_t lines) {
  const auto end = text.find_last_not_of('\n') + 1;  // npos + 1 is 0
  auto begin = end;
  while (begin > 0 && (text[begin - 1] != '\n' || --lines > 0)) --begin;
  return text.substr(begin, end - begin);
}

}  // namespace detail

MIRAKURU_DECL OutputFile OutputFile::open(const FileName& path, long long begin) {
  constexpr int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;  // to open a FIFO must not block
  OutputFile file{
      detail::checked_fd(::open(path.str().c_str(), flags), ("open " + path.str()).c_str())};
  file.keep_from(begin);
  return file;
}

MIRAKURU_DECL void OutputFile::keep() {
  if (fd_) begin_ = detail::file_size(fd());
  kept_ = true;
}

MIRAKURU_DECL long long OutputFile::size() const {
  return kept() ? detail::file_size(fd()) - begin_ : 0;
}

MIRAKURU_DECL std::size_t OutputFile::read(long long offset, std::span<char> into) const {
  std::size_t done = 0;
  while (kept() && done < into.size()) {
    constexpr std::size_t most = std::size_t{1} << 30;  // one call takes no more than twice that
    const auto next = into.subspan(done, std::min(into.size() - done, most));
    const auto position = begin_ + offset + static_cast<long long>(done);
    const auto n = ::pread(fd(), next.data(), next.size(), position);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) detail::throw_errno("pread");
    done += static_cast<std::size_t>(n);
    if (static_cast<std::size_t>(n) < next.size()) break;  // the file's end
  }
  return done;
}

MIRAKURU_DECL std::string OutputFile::text_from(long long position) const {
  if (!kept()) return {};
  const auto size = detail::file_size(fd());
  if (size < position) position = 0;  // cut since, as by `truncate -s 0`: all in it is new
  // By blocks: the first touch of a page costs more than the copy.
  const auto block = std::make_unique_for_overwrite<char[]>(detail::output_block_size);
  std::string text;
  text.reserve(static_cast<std::size_t>(size - position));
  while (text.size() < static_cast<std::size_t>(size - position)) {
    const auto left = static_cast<std::size_t>(size - position) - text.size();
    const auto offset = position - begin_ + static_cast<long long>(text.size());
    const auto count = read(offset, {block.get(), std::min(left, detail::output_block_size)});
    if (count == 0) break;
    text.append(block.get(), count);
  }
  return text;
}

[[gnu::cold]] MIRAKURU_DECL std::string OutputFile::excerpt(std::size_t first_lines,
                                                            std::size_t last_lines) const try {
  constexpr long long first = 8 * 1024, last = 16 * 1024, longest_count = 1 << 19;
  detail::Excerpt excerpt{first_lines, last_lines};
  std::string block(16 * 1024, '\0');
  const auto read_blocks = [&](long long at, long long end, auto use) {
    while (at < end) {
      const auto wanted = std::min(end - at, static_cast<long long>(block.size()));
      const auto size = read(at, {block.data(), static_cast<std::size_t>(wanted)});
      if (size == 0) return;
      use(std::string_view{block}.substr(0, size));
      at += static_cast<long long>(size);
    }
  };
  const auto feed = [&](std::string_view piece) { excerpt.feed(piece); };
  const auto end = size(), begin = end < 0 ? -begin_ : 0;  // the file may have been cut
  const auto left_out = end - begin - first - last;
  read_blocks(begin, left_out > 0 ? begin + first : end, feed);
  if (left_out > 0) {
    std::optional<std::size_t> line_ends;
    if (left_out <= longest_count)
      read_blocks(begin + first, end - last, [&](std::string_view piece) {
        line_ends = line_ends.value_or(0) +
                    static_cast<std::size_t>(std::count(piece.begin(), piece.end(), '\n'));
      });
    excerpt.skip(static_cast<std::size_t>(left_out), line_ends);
    read_blocks(end - last, end, feed);
  }
  return excerpt.text();
} catch (const std::exception& error) {
  return std::string{"[cannot be read: "} + error.what() + ']';
}

[[gnu::cold]] MIRAKURU_DECL std::string OutputFile::tail() const {
  constexpr long long most_bytes = 2048;
  constexpr std::size_t most_lines = 10;
  const auto begin = std::max(0LL, size() - most_bytes);
  const auto text = text_from(begin_ + begin);
  return detail::last_lines(begin > 0 ? std::string{detail::without_half_begin(text)} : text,
                            most_lines);
}

}  // namespace mirakuru
