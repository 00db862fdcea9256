// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include <mirakuru/os/config.hpp>

namespace mirakuru::detail {

/// Throws `std::system_error` for the errno value `error`; `text` says which step has failed.
[[noreturn]] void throw_error(int error, const std::string& text);

/// Throws `std::system_error` for the system call that has just failed.
[[noreturn]] void throw_errno(const char* call);

/// Owns a file descriptor, and closes it at the end of its lifetime; -1 for none.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) noexcept : fd_{fd} {}
  UniqueFd(UniqueFd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset() noexcept {
    if (const int fd = std::exchange(fd_, -1); fd >= 0) ::close(fd);
  }

 private:
  int fd_ = -1;
};

/// Moves a descriptor below 3 up. A host that has closed its standard streams gets these
/// descriptors, and the child's streams would overwrite them. Throws `std::system_error`.
[[nodiscard]] UniqueFd move_above_stdio(UniqueFd fd);

/// Owns the result of a system call, moved above 2. Throws `std::system_error`, with the name of
/// the call, if the call has failed.
[[nodiscard]] UniqueFd checked_fd(int fd, const char* call);

struct Pipe {
  UniqueFd reading, writing;
};
/// Makes a pipe that is close-on-exec. Throws `std::system_error`. Rests on `pipe2`.
[[nodiscard]] Pipe make_pipe();

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/os/unique_fd.ipp>
#endif
