// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/syscalls.hpp>

// The guardian's memory: the parts of the owner's memory that its fork copies, keeps and unmaps.

namespace mirakuru::detail {

/// The data that the guardian needs; the Guardian's constructor lists them.
using NeededRanges = Range[4];

/// True under Valgrind. Its own data lies among the process's data and looks the same.
[[nodiscard]] inline bool under_valgrind() {
  const char* preloaded = std::getenv("LD_PRELOAD");
  return preloaded != nullptr && std::strstr(preloaded, "vgpreload") != nullptr;
}

extern "C" {
// Functions of profilers; null unless the program is built for one.
[[gnu::weak]] void __gmon_start__();
[[gnu::weak]] void __gcov_init(void*);
[[gnu::weak]] void __llvm_profile_instrument_target(std::uint64_t, void*, std::uint32_t);
}

/// True if calls of this code lead to a tool that needs the process's memory: a sanitizer, a
/// profiler, or the dynamic linker at each call.
[[nodiscard]] inline bool instrumented() {
#if defined(MIRAKURU_SANITIZED)
  return true;
#else
  static const bool by_linker = std::getenv("LD_BIND_NOT") != nullptr ||
                                std::getenv("LD_AUDIT") != nullptr ||
                                std::getenv("LD_PROFILE") != nullptr;
  return by_linker || under_valgrind() || __gmon_start__ != nullptr || __gcov_init != nullptr ||
         __llvm_profile_instrument_target != nullptr;
#endif
}

/// While it lives, a fork does not copy the large parts of this process's data, except the needed
/// ones. That copy takes 15 ms a gigabyte.
///
/// It does nothing if the process has other threads: one of them may fork now and need that data.
class LargeMemoryLeftOut {
 public:
  explicit LargeMemoryLeftOut(const NeededRanges& needed) {
    constexpr long large_process = 64 * 1024;  // kilobytes
    constexpr std::uintptr_t large = 1024 * 1024;
    rusage usage;
    if (::getrusage(RUSAGE_SELF, &usage) != 0 || usage.ru_maxrss < large_process || instrumented())
      return;
    struct stat threads;  // a directory has two links, and one for each subdirectory
    if (::stat("/proc/self/task", &threads) != 0 || threads.st_nlink != 3) return;
    syscalls::each_mapping([&](Range mapping, bool is_data) {
      if (is_data)
        syscalls::for_each_part_outside(mapping, needed, [&](Range part) {
          if (part.end - part.begin >= large) left_out_.push_back(part);
        });
    });
    std::erase_if(left_out_, [](Range range) { return !advise(range, MADV_DONTFORK); });
  }
  ~LargeMemoryLeftOut() {
    for (const auto& range : left_out_) advise(range, MADV_DOFORK);
  }
  LargeMemoryLeftOut(const LargeMemoryLeftOut&) = delete;
  LargeMemoryLeftOut& operator=(const LargeMemoryLeftOut&) = delete;

 private:
  static bool advise(Range range, int advice) {
    return ::madvise(reinterpret_cast<void*>(range.begin), range.end - range.begin, advice) == 0;
  }

  std::vector<Range> left_out_;
};

/// The memory where the kernel reads a process's arguments.
struct [[gnu::visibility("hidden")]] ArgumentArea {
  Range arguments;
  std::uintptr_t end = 0;  // a title may go on to here, over the environment

  [[nodiscard]] static ArgumentArea of_this_process() {
    char text[2048];
    // The file of a main thread that has ended is empty, so this thread's own.
    syscalls::read_file("/proc/thread-self/stat", text);
    const auto stat = stat_fields(text);
    // A title needs no more of the environment than this.
    const auto last = stat.arguments.end;
    const auto end = stat.environment.begin == last ? stat.environment.end : last;
    return {stat.arguments, std::min(end, std::max(stat.arguments.begin + 2048, last))};
  }

  /// Puts a title in place of the arguments; `ps` shows it. Called by the guardian.
  void put(const char* title) const {
    syscalls::call(SYS_prctl, PR_SET_NAME, "mirakuru", 0, 0, 0);
    if (arguments.end <= arguments.begin) return;
    auto* const text = reinterpret_cast<char*>(arguments.begin);
    const auto room = end - arguments.begin;
    std::size_t size = 0;
    for (; size + 1 < room && title[size] != '\0'; ++size) text[size] = title[size];
    do text[size++] = '\0';
    while (size < arguments.end - arguments.begin);
  }
};

/// The code that the guardian runs on. Hidden, as each module has a guardian of its own.
struct [[gnu::visibility("hidden")]] Modules {
  Range own, bss, libc, kernel;
  bool has_others = false;

  /// Null if another tool (sanitizer, profiler, LD_AUDIT) may hook this code.
  [[nodiscard]] static const Modules* of_this_process() {
    static const Modules modules = [] {
      // Compilers insert calls of these. The first call of each may be looked up in the dynamic
      // linker's tables, which the guardian unmaps.
      volatile std::size_t none = 0;
      char here[1] = {}, there[1] = {};
      std::memset(here, 0, none);
      std::memcpy(here, there, none);
      std::memmove(here, there, none);
      none = static_cast<std::size_t>(std::memcmp(here, there, none));
      const char* volatile text = here;
      none = std::strlen(text);

      Modules found;
      ::dl_iterate_phdr(
          [](dl_phdr_info* module, std::size_t, void* into) {
            static_cast<Modules*>(into)->add(*module);
            return 0;
          },
          &found);
      return found;
    }();
    return modules.known() ? &modules : nullptr;
  }

  /// Unmaps the process's memory, except this code and the needed data. Called by the guardian.
  void unmap_others(const NeededRanges& needed) const {
    const Range code[] = {own, libc, kernel};
    const auto outside = [&](Range whole, auto visit) {
      syscalls::for_each_part_outside(
          whole, needed, [&](Range data) { syscalls::for_each_part_outside(data, code, visit); });
    };
    bool sealed = false;
    const auto unmap = [&](Range part) {
      if (syscalls::call(SYS_munmap, part.begin, part.end - part.begin) != 0) sealed = true;
    };
    Range all;
    for (const auto& range : needed) all.end = range.end > all.end ? range.end : all.end;
    for (const auto& range : code) all.end = range.end > all.end ? range.end : all.end;
    outside(all, unmap);
    // A mapping sealed by mseal(2) keeps its whole part mapped, so go mapping by mapping.
    if (sealed) syscalls::each_mapping([&](Range mapping, bool) { outside(mapping, unmap); });
    // Emptied, not unmapped: code that counts its own runs writes there.
    syscalls::for_each_part_outside(bss, needed, [](Range part) {
      syscalls::call(SYS_madvise, part.begin, part.end - part.begin, MADV_DONTNEED);
    });
  }

 private:
  void add(const dl_phdr_info& module) {
    const auto page = static_cast<std::uintptr_t>(::getpagesize());
    Range whole{UINTPTR_MAX, 0}, zeroed;
    for (int i = 0; i < module.dlpi_phnum; ++i) {
      const auto& header = module.dlpi_phdr[i];
      if (header.p_type != PT_LOAD) continue;
      const std::uintptr_t begin = module.dlpi_addr + header.p_vaddr;
      const std::uintptr_t end = begin + header.p_memsz;
      whole.begin = std::min(whole.begin, begin & -page);
      whole.end = std::max(whole.end, (end + page - 1) & -page);
      if (header.p_memsz > header.p_filesz)
        zeroed = {(begin + header.p_filesz + page - 1) & -page, end & -page};
    }
    const std::string_view path{module.dlpi_name};
    const auto name = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
    if (whole.holds(reinterpret_cast<std::uintptr_t>(&Modules::of_this_process))) {
      own = whole;
      bss = zeroed;
    }
    if (whole.holds(::getauxval(AT_SYSINFO_EHDR))) {
      kernel = {whole.begin - 16 * page, whole.end};  // with its data, one mapping
    } else if (name.starts_with("libc.") || name.starts_with("ld-musl")) {
      libc = whole;
    } else {
      has_others |= !name.empty();
    }
  }

  /// A program without libraries is its own C library. A preloaded library may replace `syscall`,
  /// and a program at a fixed address cannot see that.
  [[nodiscard]] bool known() const {
    const auto address = reinterpret_cast<std::uintptr_t>(&::syscall);
    if (libc.end == 0 && has_others) return false;
    return libc.holds(address) || (own.holds(address) && std::getenv("LD_PRELOAD") == nullptr);
  }
};

}  // namespace mirakuru::detail
