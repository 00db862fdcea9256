// SPDX-License-Identifier: BSL-1.0
#include <sys/mman.h>
#include <unistd.h>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/spawn/guardian/memory.hpp>
#include <mirakuru/spawn/own_pages.hpp>

#include "child.hpp"
#include "files.hpp"

using namespace mirakuru::detail;

namespace {

Range range_of(const OwnPages& pages, std::size_t size) {
  const auto begin = reinterpret_cast<std::uintptr_t>(pages.begin());
  return {begin, begin + size};
}

/// Memory around an address that code still needs.
Range around(const void* place) {
  constexpr std::uintptr_t room = 256 * 1024;
  const auto at = reinterpret_cast<std::uintptr_t>(place) & -std::uintptr_t{64 * 1024};
  return {at - room, at + room};
}

/// True if the page is mapped. A system call alone.
bool is_mapped(Range range) {
  unsigned char in_memory = 0;
  return syscalls::call(SYS_mincore, range.begin, 1UL, &in_memory) == 0;
}

bool can_test() {
  if (instrumented() || Modules::of_this_process() == nullptr)
    MESSAGE("a tool needs the memory of this process");
  return !instrumented() && Modules::of_this_process() != nullptr;
}

}  // namespace

TEST_CASE("ArgumentArea: it is the place of this process's arguments") {
  const auto area = ArgumentArea::of_this_process();
  const auto expected = test::slurp("/proc/self/cmdline");
  REQUIRE(area.arguments.end - area.arguments.begin == expected.size());
  CHECK(std::memcmp(reinterpret_cast<const void*>(area.arguments.begin), expected.data(),
                    expected.size()) == 0);
  CHECK(area.end >= area.arguments.end);
}

TEST_CASE("ArgumentArea: a title takes the place of the arguments, and may go on behind them") {
  const auto titled = [](const char* title, std::size_t arguments, std::size_t end) {
    std::string area(24, '#');
    // It also names the thread.
    const int status = test::in_child([&] {
      const OwnPages pages{4096, MAP_PRIVATE};
      const auto begin = reinterpret_cast<std::uintptr_t>(pages.begin());
      std::memcpy(pages.begin(), area.data(), area.size());
      ArgumentArea{{begin, begin + arguments}, begin + end}.put(title);
      const std::string written(static_cast<const char*>(pages.begin()), area.size());
      const std::size_t size = std::min(std::strlen(title), end == 0 ? 0 : end - 1);
      std::string expected = std::string{title}.substr(0, size);
      if (arguments > 0) expected.resize(std::max(size + 1, arguments), '\0');
      expected.resize(area.size(), '#');
      return written == expected;
    });
    return status == 0;
  };
  CHECK(titled("short", 12, 12));
  CHECK(titled("mirakuru: guards a", 8, 20));
  CHECK(titled("a title that is far too long for it", 8, 20));
  CHECK(titled("", 8, 20));
  CHECK(titled("", 0, 0));
}

TEST_CASE("Modules: this code and the C library are known") {
  if (!can_test()) return;
  const auto& modules = *Modules::of_this_process();
  CHECK(modules.own.holds(reinterpret_cast<std::uintptr_t>(&can_test)));
  const auto call = reinterpret_cast<std::uintptr_t>(&::syscall);
  CHECK((modules.libc.holds(call) || modules.own.holds(call)));
  CHECK(Modules::of_this_process() == &modules);
}

TEST_CASE("Modules: all is unmapped but the code and the needed data") {
  if (!can_test()) return;
  // So large that its begin is far from all that is needed.
  constexpr std::size_t size = 64 * 1024, large = 8 * 1024 * 1024;
  const OwnPages kept{size, MAP_PRIVATE}, lost{large, MAP_PRIVATE};
  const auto status = test::in_child([&]() -> bool {
    const auto* const modules = Modules::of_this_process();
    const auto needed_data = range_of(kept, size), other = range_of(lost, large);
    const NeededRanges needed{needed_data, around(&needed_data), around(&errno),
                              around(__builtin_thread_pointer())};
    const bool before = is_mapped(needed_data) && is_mapped(other);
    modules->unmap_others(needed);
    // No library is left to return to.
    const bool good = before && is_mapped(needed_data) && !is_mapped(other);
    syscalls::call(SYS_exit_group, good ? 0 : 1);
    return false;
  });
  CHECK(status == 0);
}

TEST_CASE("LargeMemoryLeftOut: a fork of a large process copies the needed data alone") {
  if (!can_test()) return;
  constexpr std::size_t size = 80 * 1024 * 1024, part = 8 * 1024 * 1024;
  const auto copies = [](bool leaves_out) {
    return test::in_child([leaves_out] {
      const OwnPages pages{size, MAP_PRIVATE};
      std::memset(pages.begin(), 1, size);
      const auto whole = range_of(pages, size);
      const Range first{whole.begin, whole.begin + part}, rest{whole.begin + part, whole.end};
      const NeededRanges needed{first, {}, {}, {}};
      const auto child_has_rest = [&] {
        return test::in_child([&] {
          syscalls::call(SYS_exit_group, !is_mapped(first) ? 9 : is_mapped(rest) ? 1 : 0);
          return false;
        });
      };
      if (!leaves_out) return child_has_rest() == 1;
      {
        const LargeMemoryLeftOut left_out{needed};
        if (child_has_rest() != 0) return false;
      }
      return child_has_rest() == 1;  // it is as before
    });
  };
  CHECK(copies(true) == 0);
  CHECK(copies(false) == 0);
}
