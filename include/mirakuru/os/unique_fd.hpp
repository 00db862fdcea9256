// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <utility>

#include <mirakuru/os/config.hpp>

namespace mirakuru::detail {

/// Owns a file descriptor; -1 for none.
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
  void reset() noexcept;

 private:
  int fd_ = -1;
};

/// Moves a descriptor below 3 up; a host with closed standard streams gets these. The child's own
/// streams would replace them. Throws `std::system_error`.
[[nodiscard]] UniqueFd move_above_stdio(UniqueFd fd);

/// Owns the descriptor that a system call has returned. Throws `std::system_error` with the call's
/// name if it failed.
[[nodiscard]] UniqueFd checked_fd(int fd, const char* call);

struct Pipe {
  UniqueFd reading, writing;
};
/// A pipe that no child inherits by accident. Throws `std::system_error`.
[[nodiscard]] Pipe make_pipe();

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/os/unique_fd.ipp>
#endif
