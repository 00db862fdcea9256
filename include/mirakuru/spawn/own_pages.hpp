// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/mman.h>
#include <cstddef>

#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru::detail {

/// Memory of its own, whichever memory the host's allocator hands out. Rests on `mmap`.
class OwnPages {
 public:
  /// Takes the size in bytes, and `MAP_PRIVATE` or `MAP_SHARED`: whether a fork shares it. Throws
  /// `std::system_error`.
  OwnPages(std::size_t size, int sharing)
      : size_{size},
        begin_{::mmap(nullptr, size, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0)} {
    if (begin_ == MAP_FAILED) throw_errno("mmap");
  }
  ~OwnPages() { ::munmap(begin_, size_); }
  OwnPages(const OwnPages&) = delete;
  OwnPages& operator=(const OwnPages&) = delete;

  [[nodiscard]] void* begin() const noexcept { return begin_; }

 private:
  std::size_t size_;
  void* begin_;
};

}  // namespace mirakuru::detail
