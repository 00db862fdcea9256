// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru {

/// Which of a process's streams.
enum class Stream { out, err, both };

/// Where one run of a command prints to; made anew by the output policy for each start.
///
/// A stream without a descriptor is the parent's own. What is `kept` is a file, and can be read
/// from where this run began writing.
class OutputStreams {
 public:
  OutputStreams() = default;
  OutputStreams(detail::UniqueFd out, detail::UniqueFd err, bool kept);

  /// The descriptors for the child; -1: the parent's own.
  [[nodiscard]] int out() const noexcept { return out_.get(); }
  [[nodiscard]] int err() const noexcept { return err_.get(); }

  /// All that was printed so far; empty where it is not kept. Throws `std::system_error`.
  [[nodiscard]] std::string output() const { return read(out_, out_begin_); }
  [[nodiscard]] std::string err_output() const { return read(err_, err_begin_); }

  /// Reads on from `offset` bytes after this run's begin (before it if that is negative), as far as
  /// there is something and `into` has room; how many bytes that are. Throws `std::system_error`.
  [[nodiscard]] std::size_t read_out(long long offset, std::span<char> into) const {
    return read_at(out_, out_begin_ + offset, into);
  }
  [[nodiscard]] std::size_t read_err(long long offset, std::span<char> into) const {
    return read_at(err_, err_begin_ + offset, into);
  }

  /// How much was in the file before this run.
  [[nodiscard]] long long out_begin() const noexcept { return out_begin_; }
  [[nodiscard]] long long err_begin() const noexcept { return err_begin_; }

  /// How much this run has printed so far. Less than it was if the file has been cut off; less than
  /// nothing if even what was in it before is gone.
  [[nodiscard]] long long out_size() const { return size(out_, out_begin_); }
  [[nodiscard]] long long err_size() const { return size(err_, err_begin_); }

  /// The last lines, ten or two kilobytes of them, for a message.
  [[nodiscard]] std::string output_end() const { return read_end(out_, out_begin_); }
  [[nodiscard]] std::string err_output_end() const { return read_end(err_, err_begin_); }

 private:
  [[nodiscard]] long long size(const detail::UniqueFd& file, long long begin) const;
  [[nodiscard]] std::size_t read_at(const detail::UniqueFd& file, long long offset,
                                    std::span<char> into) const;
  [[nodiscard]] std::string read(const detail::UniqueFd& file, long long from) const;
  [[nodiscard]] std::string read_end(const detail::UniqueFd& file, long long from) const;

  /// Not of a file that has been moved elsewhere.
  [[nodiscard]] bool is_kept(const detail::UniqueFd& file) const noexcept { return kept_ && file; }

  detail::UniqueFd out_, err_;
  bool kept_ = false;
  long long out_begin_ = 0, err_begin_ = 0;
};

namespace detail {

/// The last `lines` lines of `text`, without line ends behind it.
[[nodiscard]] std::string last_lines(const std::string& text, std::size_t lines);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/output/streams.ipp>
#endif
