// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cstdlib>
#include <string_view>

#include <mirakuru/spawn/guardian/memory.hpp>

namespace mirakuru::detail {

// Called by the owner ----------------------------------------------------------------------------

MIRAKURU_DECL bool under_valgrind() {
  const char* preloaded = std::getenv("LD_PRELOAD");
  return preloaded != nullptr && std::strstr(preloaded, "vgpreload") != nullptr;
}

extern "C" {
// Functions of profilers; null unless the program is built for one.
[[gnu::weak]] void __gmon_start__();
[[gnu::weak]] void __gcov_init(void*);
[[gnu::weak]] void __llvm_profile_instrument_target(std::uint64_t, void*, std::uint32_t);
}

MIRAKURU_DECL bool instrumented() {
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

inline bool advise(Range range, int advice) {
  return ::madvise(reinterpret_cast<void*>(range.begin), range.end - range.begin, advice) == 0;
}

MIRAKURU_DECL LargeMemoryLeftOut::LargeMemoryLeftOut(const NeededRanges& needed) {
  constexpr long large_process = 64 * 1024;  // kilobytes
  constexpr std::uintptr_t large = 1024 * 1024;
  rusage usage;
  if (::getrusage(RUSAGE_SELF, &usage) != 0 || usage.ru_maxrss < large_process || instrumented())
    return;
  struct stat threads;  // a directory has two links, and one for each subdirectory
  if (::stat("/proc/self/task", &threads) != 0 || threads.st_nlink != 3) return;
  std::vector<Range> ranges;
  syscalls::each_mapping([&](const Mapping& mapping) {
    if (mapping.disposable && !mapping.stack)
      syscalls::for_each_part_outside(mapping.range, needed, [&](Range part) {
        if (part.end - part.begin >= large) ranges.push_back(part);
      });
  });
  left_out_.reserve(ranges.size());
  for (const auto& range : ranges)
    if (advise(range, MADV_DONTFORK)) left_out_.push_back(range);
}

MIRAKURU_DECL LargeMemoryLeftOut::~LargeMemoryLeftOut() {
  for (const auto& range : left_out_) advise(range, MADV_DOFORK);
}

MIRAKURU_DECL ArgumentArea ArgumentArea::of_this_process() {
  char text[2048];
  // The file of a main thread that has ended is empty, so this thread's own.
  syscalls::read_file("/proc/thread-self/stat", text);
  const auto stat = stat_fields(text);
  const auto arguments = stat.arguments, environment = stat.environment;
  // A title needs no more of the environment than this.
  const auto end = environment.begin == arguments.end ? environment.end : arguments.end;
  return {arguments, std::min(end, std::max(arguments.begin + 2048, arguments.end))};
}

MIRAKURU_DECL const Modules* Modules::of_this_process() {
  struct Search {
    Modules modules = {};
    bool libc = false, libraries = false;

    void look_at(const dl_phdr_info& module) {
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
        modules.own = whole;
        modules.bss = zeroed;
      }
      if (whole.holds(::getauxval(AT_SYSINFO_EHDR))) {
        modules.kernel = {whole.begin - 16 * page, whole.end};  // with its data, one mapping
      } else if (name.starts_with("libc.") || name.starts_with("ld-musl")) {
        modules.libc = whole;
        libc = true;
      } else if (!name.empty()) {
        libraries = true;
      }
    }
    /// A program without libraries is its own C library. A preloaded library may replace
    /// `syscall`, and a program at a fixed address cannot see that.
    [[nodiscard]] bool known() const {
      const auto address = reinterpret_cast<std::uintptr_t>(&::syscall);
      if (!libc && libraries) return false;
      return modules.libc.holds(address) ||
             (modules.own.holds(address) && std::getenv("LD_PRELOAD") == nullptr);
    }
  };
  static const Search search = [] {
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

    Search found;
    ::dl_iterate_phdr(
        [](dl_phdr_info* module, std::size_t, void* into) {
          static_cast<Search*>(into)->look_at(*module);
          return 0;
        },
        &found);
    return found;
  }();
  return search.known() ? &search.modules : nullptr;
}

// Called by the guardian -------------------------------------------------------------------------

MIRAKURU_DECL void ArgumentArea::put(const char* title) const {
  syscalls::call(SYS_prctl, PR_SET_NAME, "mirakuru", 0, 0, 0);
  if (arguments.end <= arguments.begin) return;
  auto* const text = reinterpret_cast<char*>(arguments.begin);
  const auto room = end - arguments.begin;
  std::size_t size = 0;
  for (; size + 1 < room && title[size] != '\0'; ++size) text[size] = title[size];
  do text[size++] = '\0';
  while (size < arguments.end - arguments.begin);
}

MIRAKURU_DECL void Modules::unmap_others(const NeededRanges& needed) const {
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
  if (sealed)
    syscalls::each_mapping([&](const Mapping& mapping) { outside(mapping.range, unmap); });
  // Emptied, not unmapped: code that counts its own runs writes there.
  syscalls::for_each_part_outside(bss, needed, [](Range part) {
    syscalls::call(SYS_madvise, part.begin, part.end - part.begin, MADV_DONTNEED);
  });
}

}  // namespace mirakuru::detail
