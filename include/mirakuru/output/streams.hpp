// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <utility>

#include <mirakuru/output/output_file.hpp>
#include <mirakuru/text/cut.hpp>

namespace mirakuru {

/// One of a process's streams, or both.
enum class Stream { out, err, both };

namespace detail {

/// Makes a descriptor fit for a stream; none stays none.
inline OutputFile stream_file(UniqueFd fd) {
  if (!fd) return {};
  if (::fcntl(fd.get(), F_SETFD, FD_CLOEXEC) != 0) throw_errno("fcntl F_SETFD");
  return OutputFile{move_above_stdio(std::move(fd))};
}

}  // namespace detail

/// The places that one run of a command prints to. The output policy makes them for each start.
class OutputStreams {
 public:
  /// Both are the parent's own.
  OutputStreams() = default;
  OutputStreams(OutputFile out, OutputFile err) noexcept
      : out_{std::move(out)}, err_{std::move(err)} {}

  /// Takes over two open descriptors, or one for both streams; -1 stands for the parent's own.
  ///
  /// They are made close-on-exec, and moved above 2 if necessary. A file that is to be kept must be
  /// open for reading and appending (`O_RDWR | O_APPEND`). Throws `std::system_error` for a
  /// descriptor that is not open, and when the process can have no more. Rests on `fcntl`.
  [[nodiscard]] static OutputStreams from(int out, int err) {
    constexpr auto dup = F_DUPFD_CLOEXEC;
    detail::UniqueFd out_fd{out};
    auto err_fd = out == err && out >= 0
                      ? detail::checked_fd(::fcntl(out, dup, 3), "fcntl F_DUPFD_CLOEXEC")
                      : detail::UniqueFd{err};
    auto out_file = detail::stream_file(std::move(out_fd));
    return {std::move(out_file), detail::stream_file(std::move(err_fd))};
  }

  /// The same files for a reader whose output begins now. Throws `std::system_error`.
  [[nodiscard]] OutputStreams from_now_on() const {
    const auto copy = [](const OutputFile& file) {
      OutputFile result;
      if (file.kept())
        result = OutputFile{
            detail::checked_fd(::fcntl(file.fd(), F_DUPFD_CLOEXEC, 3), "fcntl F_DUPFD_CLOEXEC")};
      result.keep();
      return result;
    };
    auto out = copy(out_);
    return {std::move(out), copy(err_)};
  }

  /// The guardian copies the lines of both files to `target`; no descriptor: to nobody.
  void copy_to(detail::UniqueFd target) noexcept { copy_to_ = std::move(target); }
  [[nodiscard]] const detail::UniqueFd& copy_to() const noexcept { return copy_to_; }
  /// The command prints to a terminal, and the guardian copies its output to `out()`.
  void take_from(detail::UniqueFd controlling, detail::UniqueFd terminal) noexcept {
    controlling_ = std::move(controlling);
    terminal_ = std::move(terminal);
  }
  /// The side of the terminal that the test has; none without a terminal.
  [[nodiscard]] const detail::UniqueFd& controlling() const noexcept { return controlling_; }
  /// The side that the command has, until it is closed.
  [[nodiscard]] const detail::UniqueFd& terminal() const noexcept { return terminal_; }
  void close_terminal() noexcept { terminal_.reset(); }
  /// Keeps the files alone.
  void close_others() noexcept {
    copy_to_.reset();
    controlling_.reset();
    terminal_.reset();
  }

  [[nodiscard]] const OutputFile& out() const noexcept { return out_; }
  [[nodiscard]] const OutputFile& err() const noexcept { return err_; }

  /// Begins a run that is kept. Executors call it if the output policy has `keeps_output`.
  void keep() {
    out_.keep();
    err_.keep();
  }

 private:
  OutputFile out_, err_;
  detail::UniqueFd copy_to_, controlling_, terminal_;
};

namespace detail {

/// The newest line of the output, cut at 200 bytes. Empty for none, and if it cannot be read.
[[nodiscard, gnu::cold]] inline std::string last_line(const OutputStreams& streams) noexcept {
  constexpr std::size_t longest = 200;
  try {
    struct stat out{}, err{};
    const bool has_out = streams.out().size() > 0 && ::fstat(streams.out().fd(), &out) == 0;
    const bool has_err = streams.err().size() > 0 && ::fstat(streams.err().fd(), &err) == 0;
    const bool out_is_newer = std::pair{out.st_mtim.tv_sec, out.st_mtim.tv_nsec} >
                              std::pair{err.st_mtim.tv_sec, err.st_mtim.tv_nsec};
    const bool takes_out = has_out && (!has_err || out_is_newer);
    return shortened(last_lines((takes_out ? streams.out() : streams.err()).tail(), 1), longest);
  } catch (...) {  // it is for a message
    return {};
  }
}

/// The streams of one run, kept if the policy says so. Throws as the policy's `open()` does.
template <class Output>
[[nodiscard]] OutputStreams open_streams(const Output& output) {
  auto streams = output.open();
  if (Output::keeps_output) streams.keep();
  return streams;
}

}  // namespace detail
}  // namespace mirakuru
