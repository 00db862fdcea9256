// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/resource.h>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <vector>

#include <mirakuru/budget/duration.hpp>
#include <mirakuru/spawn/launch.hpp>

namespace mirakuru {

/// Limits the resources of each process of the tree. A member that is left out is the test's own
/// limit. A limit above the test's hard one is for root alone. Rests on setrlimit(2).
struct Limits {
  /// The address space in bytes. Programs with a sanitizer, in Go or in Java reserve much of it.
  std::optional<std::uint64_t> memory = {};
  /// The number of open files.
  std::optional<std::uint64_t> files = {};
  /// The processor time, in seconds rounded up. SIGXCPU ends the process, and SIGKILL a second
  /// later.
  std::optional<Duration> cpu = {};
  /// The size of a core file in bytes; 0: none.
  std::optional<std::uint64_t> core = {};

  /// Throws `std::invalid_argument` for less than three files and a negative time.
  [[nodiscard]] std::vector<ResourceLimit> limits() const {
    if (files && *files < 3) throw std::invalid_argument{"a command needs three files at least"};
    if (cpu && *cpu < std::chrono::nanoseconds::zero())
      throw std::invalid_argument{"the limit of processor time is negative"};
    std::vector<ResourceLimit> list;
    if (memory) list.push_back({RLIMIT_AS, *memory, *memory});
    if (files) list.push_back({RLIMIT_NOFILE, *files, *files});
    if (cpu) {
      const auto seconds = static_cast<std::uint64_t>(
          std::chrono::ceil<std::chrono::seconds>(std::chrono::nanoseconds{*cpu}).count());
      list.push_back({RLIMIT_CPU, seconds, seconds + 1});
    }
    if (core) list.push_back({RLIMIT_CORE, *core, *core});
    return list;
  }
};

}  // namespace mirakuru
