// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <utility>

#include <mirakuru/output/output_file.hpp>

namespace mirakuru {

/// One of a process's streams, or both.
enum class Stream { out, err, both };

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
  [[nodiscard]] static OutputStreams from(int out, int err);

  [[nodiscard]] const OutputFile& out() const noexcept { return out_; }
  [[nodiscard]] const OutputFile& err() const noexcept { return err_; }

  /// Begins a run that is kept. Executors call it if the output policy has `keeps_output`.
  void keep() {
    out_.keep();
    err_.keep();
  }

 private:
  OutputFile out_, err_;
};

namespace detail {

/// The streams of one run, kept if the policy says so. Throws as the policy's `open()` does.
template <class Output>
[[nodiscard]] OutputStreams open_streams(const Output& output) {
  auto streams = output.open();
  if (Output::keeps_output) streams.keep();
  return streams;
}

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/output/streams.ipp>
#endif
