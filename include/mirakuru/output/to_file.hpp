// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include <mirakuru/os/file_name.hpp>
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

  /// Throws `std::system_error` naming the file that cannot be opened, or is no regular file.
  [[nodiscard]] OutputStreams open() const {
    const auto append_to = [](const FileName& file) {
      constexpr int flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC;
      const auto step = "open " + file.str();
      // Not for writing alone, so that to open a FIFO does not block.
      auto fd = detail::checked_fd(::open(file.str().c_str(), flags, 0666), step.c_str());
      struct stat status{};
      if (::fstat(fd.get(), &status) != 0) detail::throw_errno(step.c_str());
      if (!S_ISREG(status.st_mode))
        detail::throw_error(EINVAL, step + ": it is no regular file, so nobody can read it back");
      return OutputFile{std::move(fd)};
    };
    auto out = append_to(path);
    return {std::move(out), append_to(err_path.value_or(path))};
  }
};

}  // namespace mirakuru
