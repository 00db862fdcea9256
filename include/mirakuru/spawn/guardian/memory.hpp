// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/spawn/guardian/syscalls.hpp>

// The guardian's memory: the parts of the owner's memory that its fork copies, keeps and unmaps.

namespace mirakuru::detail {

/// The data that the guardian needs; the Guardian's constructor lists them.
using NeededRanges = Range[4];

/// True under Valgrind. Its own data lies among the process's data and looks the same.
[[nodiscard]] bool under_valgrind();

/// True if calls of this code lead to a tool that needs the process's memory: a sanitizer, a
/// profiler, or the dynamic linker at each call.
[[nodiscard]] bool instrumented();

/// While it lives, a fork does not copy the large parts of this process's data, except the needed
/// ones. That copy takes 15 ms a gigabyte.
///
/// It does nothing if the process has other threads: one of them may fork now and need that data.
class LargeMemoryLeftOut {
 public:
  explicit LargeMemoryLeftOut(const NeededRanges& needed);
  ~LargeMemoryLeftOut();
  LargeMemoryLeftOut(const LargeMemoryLeftOut&) = delete;
  LargeMemoryLeftOut& operator=(const LargeMemoryLeftOut&) = delete;

 private:
  std::vector<Range> left_out_;
};

/// Places strings one behind another in memory that is large enough.
class StringArena {
 public:
  explicit StringArena(char* at) : at_{at} {}

  template <class T>
  T* array(std::size_t count) {
    at_ += -reinterpret_cast<std::uintptr_t>(at_) % alignof(T);
    return reinterpret_cast<T*>(std::exchange(at_, at_ + count * sizeof(T)));
  }
  char* string(const std::string& text) {
    auto* const copy = array<char>(text.size() + 1);
    std::memcpy(copy, text.c_str(), text.size() + 1);
    return copy;
  }
  char** strings(const std::vector<std::string>& list) {
    auto* const copies = array<char*>(list.size() + 1);
    for (std::size_t i = 0; i < list.size(); ++i) copies[i] = string(list[i]);
    copies[list.size()] = nullptr;
    return copies;
  }

 private:
  char* at_;
};

/// The memory where the kernel reads a process's arguments.
struct [[gnu::visibility("hidden")]] ArgumentArea {
  Range arguments;
  std::uintptr_t end = 0;  // a title may go on to here, over the environment

  [[nodiscard]] static ArgumentArea of_this_process();
  /// Puts a title in place of the arguments; `ps` shows it.
  void put(const char* title) const;
};

/// The code that the guardian runs on. Hidden, as each module has a guardian of its own.
struct [[gnu::visibility("hidden")]] Modules {
  Range own, bss, libc, kernel;

  /// Null if another tool (sanitizer, profiler, LD_AUDIT) may hook this code.
  [[nodiscard]] static const Modules* of_this_process();
  /// Unmaps the process's memory, except this code and the needed data.
  void unmap_others(const NeededRanges& needed) const;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/guardian/memory.ipp>
#endif
