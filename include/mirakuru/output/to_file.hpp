// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>

#include <mirakuru/detail/file_name.hpp>
#include <mirakuru/output/streams.hpp>

namespace mirakuru {

/// Both streams are appended to a file that stays: a log to look at after the test.
///
/// `output()` is what has been added since this run's begin: of both streams if they share the
/// file, and of everybody else who writes to it. Nothing tells them apart, nor does
/// `BannerCheck::stream`. A command that opens `/dev/stdout` anew cuts the file off, as a shell's
/// `> /dev/stdout` does; with `>>` it does not.
struct ToFile {
  static constexpr bool keeps_output = true;

  /// The file, made if it is not there (mode 0666 less the umask); its directory must exist.
  FileName path;
  /// A file of its own for standard error; none: the same file.
  std::optional<FileName> err_path = {};

  /// Throws `std::system_error` naming the file that cannot be opened.
  [[nodiscard]] OutputStreams open() const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/impl/to_file.ipp>
#endif
