// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/file_name.hpp>
#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru {

/// One stream of a run: the descriptor for the child and, if it is kept, the file behind it.
///
/// A run begins where the file ended when the run was started. Offsets count from there, in bytes.
/// A file that is not kept is empty to its readers. Readers throw `std::system_error` when the file
/// cannot be read; the place of the descriptor in the file neither matters nor moves.
class OutputFile {
 public:
  /// The parent's own stream.
  OutputFile() = default;
  /// Takes over a descriptor that is close-on-exec and above 2; it is not kept yet.
  explicit OutputFile(detail::UniqueFd fd) noexcept : fd_{std::move(fd)} {}

  /// Opens a file to read it from the byte `begin`; call `keep()` to read only what comes from now
  /// on. Throws `std::system_error` naming a file that cannot be opened. Rests on `open`.
  [[nodiscard]] static OutputFile open(const FileName& path, long long begin = 0);

  /// The file of a run that has begun at the byte `begin`, as the descriptor of another process.
  [[nodiscard]] static OutputFile of_run(detail::UniqueFd fd, long long begin) noexcept {
    OutputFile file{std::move(fd)};
    file.keep_from(begin);
    return file;
  }

  /// Begins a run: all that is written from now on is kept. A stream of the parent's stays without
  /// a file. Throws `std::system_error`. Rests on `fstat`.
  void keep();
  /// Begins a run at the byte `begin` of a file that can be read.
  void keep_from(long long begin) noexcept {
    kept_ = true;
    begin_ = begin;
  }
  /// True if there is a file to read.
  [[nodiscard]] bool kept() const noexcept { return kept_ && fd_; }

  /// The descriptor for the child; -1: the parent's own.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  /// All that this run has printed so far. After a cut below `begin()`: all that is in the file.
  [[nodiscard]] std::string text() const { return text_from(begin_); }
  /// The last ten lines of that, or the last two kilobytes, for a message.
  [[nodiscard]] std::string tail() const;

  /// Its first and last lines, with a count of those left out, for a message. Never throws: the
  /// text is the reason then. Of more than 8 MiB it reads the begin and the end.
  [[nodiscard]] std::string excerpt(std::size_t first_lines = 5, std::size_t last_lines = 15) const;

  /// Reads from `offset` to the file's end or until `into` is full. A negative offset reaches
  /// before this run. Returns the number of bytes read. Rests on `pread`.
  [[nodiscard]] std::size_t read(long long offset, std::span<char> into) const;

  /// The number of bytes that were in the file before this run.
  [[nodiscard]] long long begin() const noexcept { return begin_; }
  /// The number of bytes that this run has printed so far. It is less than before after a cut, and
  /// negative if even earlier bytes are gone.
  [[nodiscard]] long long size() const;

 private:
  [[nodiscard]] std::string text_from(long long position) const;

  detail::UniqueFd fd_;
  bool kept_ = false;
  long long begin_ = 0;
};

namespace detail {

/// The last `lines` lines of `text`, without the line ends at its end.
[[nodiscard]] std::string last_lines(const std::string& text, std::size_t lines);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/output/output_file.ipp>
#endif
